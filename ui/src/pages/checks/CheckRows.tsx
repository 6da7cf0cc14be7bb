/** Checks one below the other; an open one shows what it said of each version. */

import { useQuery } from "@tanstack/react-query";
import { type JSX, useState } from "react";
import { Link } from "react-router";
import { links } from "@/app/links";
import { Answer } from "@/kit/Answer";
import { AssetLink } from "@/kit/AssetLink";
import { Icon } from "@/kit/Icon";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { get } from "@/lib/api";
import { count, counted } from "@/lib/text";
import type { Check, CheckAnswer } from "@/pages/asset/types";
import "@/pages/checks/checks.css";

interface Props {
  checks: readonly Check[];
  /** With the asset of each: where several assets are meant. */
  withAsset?: boolean;
  /** Which are open, by `checkKey`; kept here when it is not given. */
  open?: readonly string[];
  toggle?: (key: string) => void;
}

export const checkKey = (check: Check) => JSON.stringify([check.asset, check.name]);

export function CheckRows({ checks, withAsset = false, open, toggle }: Props): JSX.Element {
  const [own, setOwn] = useState<readonly string[]>([]);
  const opened = open ?? own;
  const press =
    toggle ??
    ((key: string) =>
      setOwn((before) => (before.includes(key) ? before.filter((one) => one !== key) : [...before, key])));
  return (
    <ul className="checks">
      {checks.map((check) => {
        const key = checkKey(check);
        const isOpen = opened.includes(key);
        return (
          <li key={key} className="check">
            <Row check={check} withAsset={withAsset} isOpen={isOpen} press={() => press(key)} />
            {isOpen ? <Answers check={check} /> : null}
          </li>
        );
      })}
    </ul>
  );
}

interface RowProps {
  check: Check;
  withAsset: boolean;
  isOpen: boolean;
  press: () => void;
}

function Row({ check, withAsset, isOpen, press }: RowProps): JSX.Element {
  const failing = check.failing > 0;
  const state = failing ? (check.severity === "error" ? "failed" : "warn") : "passed";
  return (
    <div className="check-row">
      <button
        type="button"
        className="check-open"
        aria-expanded={isOpen}
        aria-label={`What ${check.name} said`}
        onClick={press}
      >
        <Icon name={isOpen ? "down" : "right"} size={14} />
      </button>
      <State state={state} label={state === "warn" ? "failed" : state} plain />
      <span className="check-name">
        <span className="ellipsis mono" title={check.name}>
          <bdi>{check.name}</bdi>
        </span>
        {withAsset ? (
          <span className="dim check-asset">
            <AssetLink name={check.asset} />
          </span>
        ) : null}
      </span>
      <span className="check-text">
        {failing ? (
          <span className="ellipsis" title={check.message ?? undefined}>
            <bdi>{check.message?.split("\n")[0] ?? "it failed"}</bdi>
          </span>
        ) : (
          <span className="dim ellipsis" title={check.description ?? undefined}>
            <bdi>{check.description}</bdi>
          </span>
        )}
      </span>
      <span className="dim check-partitions">
        {check.partitions > 1
          ? failing
            ? `${count(check.failing)} of ${counted(check.partitions, "partition")}`
            : counted(check.partitions, "partition")
          : null}
      </span>
      <span
        className="dim check-severity"
        title={check.blocking ? "what fails it is not published" : undefined}
      >
        {check.severity}
        {check.blocking ? ", blocking" : ""}
      </span>
      <span className="num check-at">
        <Time at={check.at} />
      </span>
    </div>
  );
}

const SHOWN = 60;

function Answers({ check }: { check: Check }): JSX.Element {
  const parameters = { asset: check.asset, name: check.name, limit: SHOWN };
  const found = useQuery({
    queryKey: ["checks", "answers", parameters],
    queryFn: ({ signal }) => get<{ answers: CheckAnswer[] }>("/api/checks/answers", parameters, signal),
  });
  return (
    <div className="check-answers">
      {check.description ? <p className="dim">{check.description}</p> : null}
      <Answer of={found} rows={2}>
        {({ answers }) => (
          <>
            <Marks answers={answers} />
            <Told answers={notable(answers)} />
          </>
        )}
      </Answer>
    </div>
  );
}

function Told({ answers }: { answers: readonly CheckAnswer[] }): JSX.Element {
  const has = {
    messages: answers.some((one) => one.message),
    figures: answers.some((one) => Object.keys(one.metrics).length > 0),
  };
  return (
    <div className="table-scroll">
      <table className="table">
        <thead>
          <tr>
            <th>Result</th>
            <th>Partition</th>
            {has.messages ? <th>Message</th> : null}
            {has.figures ? <th>Figures</th> : null}
            <th className="num">When</th>
            <th>Run</th>
          </tr>
        </thead>
        <tbody>
          {answers.map((one) => (
            <tr key={`${one.at} ${one.partition}`}>
              <td>
                <State state={one.passed ? "passed" : "failed"} plain />
              </td>
              <td className="mono">
                <bdi>{one.partition ?? "–"}</bdi>
              </td>
              {has.messages ? (
                <td className="check-message">
                  <bdi>{one.message}</bdi>
                </td>
              ) : null}
              {has.figures ? (
                <td className="dim mono">
                  <bdi>{figures(one.metrics)}</bdi>
                </td>
              ) : null}
              <td className="num">
                <Time at={one.at} />
              </td>
              <td>
                {one.run ? (
                  <Link className="mono" to={links.run(one.run)} title={one.run}>
                    {one.run.slice(0, 8)}
                  </Link>
                ) : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const LISTED = 10;

/** What failed, and the newest of the rest: at most ten, the newest first. */
function notable(answers: readonly CheckAnswer[]): CheckAnswer[] {
  const failed = answers.filter((one) => !one.passed);
  const chosen = new Set([...failed, ...answers].slice(0, Math.max(LISTED, failed.length)));
  return answers.filter((one) => chosen.has(one)).slice(0, SHOWN);
}

function figures(metrics: Record<string, unknown>): string {
  return Object.entries(metrics)
    .slice(0, 4)
    .map(
      ([name, value]) =>
        `${name} ${typeof value === "number" ? count(Math.round(value * 1000) / 1000) : value}`,
    )
    .join(" · ");
}

/** The answers as marks, the newest on the right. */
function Marks({ answers }: { answers: readonly CheckAnswer[] }): JSX.Element {
  const failed = answers.filter((one) => !one.passed).length;
  const text = `The last ${count(answers.length)}: ${failed === 0 ? "all passed" : `${count(failed)} failed`}`;
  return (
    <div className="check-marks">
      <span className="dim">{text}</span>
      <span role="img" aria-label={text}>
        {[...answers].reverse().map((one) => (
          <span
            key={`${one.at} ${one.partition}`}
            data-tone={one.passed ? "fresh" : "late"}
            className={one.passed ? undefined : "failed-mark"}
            title={`${one.partition ?? ""} ${one.passed ? "passed" : "failed"}`}
          />
        ))}
      </span>
    </div>
  );
}
