/** The board by owner, kind, group or tag: closed groups with their counts; an open one shows its rows. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { JSX } from "react";
import { Answer } from "@/kit/Answer";
import { Icon } from "@/kit/Icon";
import { Empty } from "@/kit/Notice";
import { type Share, Shares } from "@/kit/Shares";
import { Shape } from "@/kit/State";
import type { Change } from "@/kit/usePage";
import { get } from "@/lib/api";
import { count } from "@/lib/text";
import type { AssetGroup } from "@/lib/types";
import { asked, VERDICTS, type Wanted, WORDS } from "@/pages/board/filter";
import { Rows } from "@/pages/board/Rows";

interface Props {
  by: string;
  wanted: Wanted;
  open: readonly string[];
  change: (change: Change) => void;
}

/** What an open group is called in the address. */
const keyOf = (group: AssetGroup) => (group.group === null ? "-" : `=${group.group}`);

export function Groups({ by, wanted, open, change }: Props): JSX.Element {
  const parameters = { selection: wanted.selection, q: wanted.q, as_of: wanted.asOf, by };
  const found = useQuery({
    queryKey: ["assets", "groups", parameters],
    queryFn: ({ signal }) =>
      get<{ total: number; groups: AssetGroup[] }>("/api/assets/groups", parameters, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
  });
  return (
    <Answer of={found} rows={6}>
      {({ groups, total }) => (
        <div className="groups">
          {groups.length === 0 ? <Empty title="No asset is like that" /> : null}
          {groups.map((group) => {
            const key = keyOf(group);
            const isOpen = open.includes(key);
            const others = open.filter((one) => one !== key);
            return (
              <section key={key} className="group" aria-label={group.group ?? "none"}>
                <Head
                  group={group}
                  by={by}
                  isOpen={isOpen}
                  press={() => change({ open: isOpen ? others : [...others, key] })}
                />
                {isOpen ? (
                  <Rows asked={asked(wanted, group.selection)} asOf={wanted.asOf} hasFilter inside />
                ) : null}
              </section>
            );
          })}
          {total > groups.length ? (
            <p className="dim">
              The first {count(groups.length)} of {count(total)} groups. Narrow it down with the filter.
            </p>
          ) : null}
        </div>
      )}
    </Answer>
  );
}

interface HeadProps {
  group: AssetGroup;
  by: string;
  isOpen: boolean;
  press: () => void;
}

function Head({ group, by, isOpen, press }: HeadProps): JSX.Element {
  const shares = VERDICTS.map((one): Share => [WORDS[one].toLowerCase(), group.verdicts[one], one]);
  const name = group.group ?? (by.startsWith("tag:") ? `without ${by.slice(4)}` : `without ${by}`);
  return (
    <button type="button" className="group-head" aria-expanded={isOpen} onClick={press}>
      <Icon name={isOpen ? "down" : "right"} size={14} />
      <span className={group.group === null ? "ellipsis dim" : "ellipsis group-name"} title={name}>
        <bdi>{name}</bdi>
      </span>
      <span className="dim">{count(group.assets)}</span>
      <span className="group-counts">
        {VERDICTS.slice(0, 3).map((one) =>
          group.verdicts[one] > 0 ? (
            <Count key={one} tone={one} value={group.verdicts[one]} word={WORDS[one]} />
          ) : null,
        )}
        {group.stale > 0 ? <Count tone="warn" value={group.stale} word="stale" /> : null}
        {group.failed > 0 ? <Count tone="late" value={group.failed} word="failed" /> : null}
      </span>
      <Shares of={shares} />
    </button>
  );
}

function Count({
  tone,
  value,
  word,
}: {
  tone: "late" | "unknown" | "warn" | "fresh" | "none";
  value: number;
  word: string;
}): JSX.Element {
  return (
    <span className="state plain" data-tone={tone}>
      <Shape tone={tone} />
      {count(value)} {word.toLowerCase()}
    </span>
  );
}
