/** Nobody sees a page without a session: who has none is asked for a token. */

import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type JSX, type ReactNode, useEffect, useState } from "react";
import { SessionContext } from "@/app/session";
import { Failure, Loading } from "@/kit/Notice";
import { change, get, keepCsrf, Problem } from "@/lib/api";
import type { Session } from "@/lib/types";
import "@/app/gate.css";

/** Tabs share their session: who logs in says so to the others. */
const others = new BroadcastChannel("headwater-session");

export function Gate({ children }: { children: ReactNode }): JSX.Element {
  const session = useQuery({
    queryKey: ["session"],
    queryFn: async ({ signal }) => {
      const found = await get<Session>("/api/session", {}, signal);
      keepCsrf(found.csrf);
      return found;
    },
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const client = useQueryClient();
  useEffect(() => {
    // Also where the answer that nobody is logged in is still on its way.
    const hear = () => {
      forget(client);
      void client.invalidateQueries({ queryKey: ["session"] });
    };
    others.addEventListener("message", hear);
    return () => others.removeEventListener("message", hear);
  }, [client]);
  // Also when it has ended while the page was open.
  if (session.error instanceof Problem && session.error.status === 401) return <Login />;
  if (session.data) return <SessionContext value={session.data}>{children}</SessionContext>;
  if (session.isError)
    return (
      <main>
        <Failure page error={session.error} again={() => void session.refetch()} />
      </main>
    );
  return <Loading />;
}

/** What was asked for in a session before, and is not on the page, is no longer listened for. */
function forget(client: QueryClient): void {
  client.removeQueries({ type: "inactive" });
}

function Login(): JSX.Element {
  const client = useQueryClient();
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const enter = async (event: FormEvent) => {
    event.preventDefault();
    try {
      const found = await change<Session>("POST", "/api/session", { token });
      keepCsrf(found.csrf);
      others.postMessage("entered");
      forget(client);
      client.setQueryData(["session"], found);
    } catch (error) {
      setProblem(error as Problem);
    }
  };
  return (
    <main className="gate">
      <form className="card" onSubmit={(event) => void enter(event)}>
        <h1>Headwater</h1>
        <p className="dim">
          This server asks for a token. <code>headwater token create --scope read --name me</code> makes one.
        </p>
        <input type="text" autoComplete="username" value="token" readOnly hidden />
        <label>
          Token
          <input
            className="field"
            type="password"
            autoComplete="current-password"
            value={token}
            onChange={(event) => setToken(event.target.value)}
            required
          />
        </label>
        {problem ? (
          <p role="alert" className="gate-problem">
            {problem.message}
          </p>
        ) : null}
        <button type="submit" className="button primary">
          Log in
        </button>
      </form>
    </main>
  );
}
