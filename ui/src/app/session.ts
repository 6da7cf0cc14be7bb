/** Who looks at the page, and what that one may do. */

import { createContext, useContext } from "react";
import type { Session } from "@/lib/types";

export const SessionContext = createContext<Session>({ name: "", scope: "read", csrf: null, events: "" });

export function useSession(): Session {
  return useContext(SessionContext);
}

/** Whether work may be started and stopped. */
export function useMayRun(): boolean {
  return useSession().scope !== "read";
}
