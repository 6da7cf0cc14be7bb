/** The checks of one asset on its page. */

import { useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Answer } from "@/kit/Answer";
import { get } from "@/lib/api";
import { count, quoted } from "@/lib/text";
import type { Check } from "@/pages/asset/types";
import { CheckRows } from "@/pages/checks/CheckRows";

export function Checks({ name }: { name: string }): JSX.Element | null {
  const parameters = { selection: quoted(name), limit: 200 };
  const found = useQuery({
    queryKey: ["checks", parameters],
    queryFn: ({ signal }) => get<{ checks: Check[] }>("/api/checks", parameters, signal),
  });
  if (found.data?.checks.length === 0) return null;
  return (
    <section className="card" aria-labelledby="checks">
      <header>
        <h2 id="checks">Checks</h2>
        <span className="dim">{found.data ? count(found.data.checks.length) : null}</span>
      </header>
      <Answer of={found} rows={2}>
        {({ checks }) => <CheckRows checks={checks} />}
      </Answer>
    </section>
  );
}
