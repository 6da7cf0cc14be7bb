/** Search over assets, columns and runs: all by keyboard, from every page. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type JSX, type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { Dialog } from "@/kit/Dialog";
import { Icon } from "@/kit/Icon";
import { State } from "@/kit/State";
import { Time } from "@/kit/Time";
import { get, type Problem } from "@/lib/api";
import { useSettled } from "@/lib/settled";
import { type Found, grouped, PAGES, type Result, recent, remember } from "@/pages/search/results";
import "@/pages/search/search.css";

export default function Search({ close }: { close: () => void }): JSX.Element {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const settled = useSettled(text.trim(), 80);
  const go = useNavigate();
  const id = useId();
  const found = useQuery({
    queryKey: ["search", settled],
    queryFn: ({ signal }) => get<Found>("/api/search", { q: settled, limit: 6 }, signal),
    enabled: settled !== "",
    placeholderData: keepPreviousData,
  });
  const groups = text.trim() === "" ? [...recent(), PAGES] : grouped(found.data, text);
  const results = groups.flatMap((group) => group.results);
  const current = results[Math.min(chosen, results.length - 1)];
  const open = (result: Result | undefined) => {
    if (!result) return;
    remember(result);
    close();
    void go(result.to);
  };
  const press = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key];
    if (step !== undefined && results.length > 0) {
      event.preventDefault();
      setChosen((before) => (Math.min(before, results.length - 1) + step + results.length) % results.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      open(current);
    }
  };
  const nothing = text.trim() !== "" && results.length === 0;
  return (
    <Dialog label="Search" close={close} className="search">
      <div className="search-field">
        <Icon name="search" />
        <input
          autoFocus
          role="combobox"
          aria-label="Search assets, columns and runs"
          aria-expanded="true"
          aria-controls={id}
          aria-activedescendant={current ? `${id}-${results.indexOf(current)}` : undefined}
          placeholder="Search assets, columns and runs…"
          maxLength={200}
          spellCheck={false}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setChosen(0);
          }}
          onKeyDown={press}
        />
        <button type="button" className="kbd" onClick={close}>
          esc
        </button>
      </div>
      <div className="search-results" id={id} role="listbox" aria-label="Results">
        {groups.map((group) => (
          <div key={group.title} role="group" aria-label={group.title}>
            <div className="search-group" aria-hidden="true">
              {group.title}
            </div>
            {group.results.map((result) => {
              const number = results.indexOf(result);
              return (
                <Option
                  key={result.key}
                  id={`${id}-${number}`}
                  result={result}
                  chosen={result === current}
                  point={() => setChosen(number)}
                  open={() => open(result)}
                />
              );
            })}
          </div>
        ))}
      </div>
      {nothing ? (
        <p className="search-none dim" role="status">
          {found.isError
            ? (found.error as Problem).message
            : found.isFetching || settled !== text.trim()
              ? "Searching…"
              : "Nothing has such a name. Runs are found by the beginning of their id or by their flow."}
        </p>
      ) : null}
    </Dialog>
  );
}

interface OptionProps {
  id: string;
  result: Result;
  chosen: boolean;
  point: () => void;
  open: () => void;
}

function Option({ id, result, chosen, point, open }: OptionProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (chosen) place.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the field takes the keys
    <div
      ref={place}
      id={id}
      role="option"
      aria-selected={chosen}
      className="search-option"
      onMouseMove={chosen ? undefined : point}
      onClick={open}
    >
      <Icon name={result.icon} />
      <span className="ellipsis" title={result.title}>
        <bdi>{result.title}</bdi>
      </span>
      {result.state ? <State state={result.state} plain /> : null}
      <span className="dim ellipsis">
        {result.started ? <Time at={result.started} /> : <bdi>{result.note}</bdi>}
      </span>
    </div>
  );
}
