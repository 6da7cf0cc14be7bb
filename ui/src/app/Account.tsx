/** Who looks, in which colours, and the way out. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type JSX, useState } from "react";
import { useSession } from "@/app/session";
import { Icon } from "@/kit/Icon";
import { Segments } from "@/kit/Segments";
import { change, keepCsrf } from "@/lib/api";
import { applyTheme, chosenTheme, type Theme } from "@/lib/theme";

const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "System"],
  ["light", "Light"],
  ["dark", "Dark"],
];

const MAY = { read: "may look", run: "may start and stop work", admin: "may do everything" };

export function Account(): JSX.Element {
  const session = useSession();
  const client = useQueryClient();
  const [theme, setTheme] = useState(chosenTheme);
  const leaving = useMutation({
    mutationFn: () => change("DELETE", "/api/session"),
    onSuccess: () => {
      keepCsrf(null);
      client.clear();
      window.location.assign("/");
    },
  });
  return (
    <>
      <button type="button" className="button quiet" popoverTarget="account" aria-label="Account and theme">
        <Icon name="user" />
      </button>
      <div id="account" popover="auto" className="account">
        <div>
          <strong className="ellipsis">{session.name}</strong>
          <p className="dim">{MAY[session.scope]}</p>
        </div>
        <Segments
          label="Theme"
          value={theme}
          options={THEMES}
          choose={(chosen) => {
            applyTheme(chosen);
            setTheme(chosen);
          }}
        />
        {session.csrf === null ? null : (
          <button type="button" className="button" onClick={() => leaving.mutate()}>
            Log out
          </button>
        )}
        {leaving.error ? <p role="alert">{leaving.error.message}</p> : null}
      </div>
    </>
  );
}
