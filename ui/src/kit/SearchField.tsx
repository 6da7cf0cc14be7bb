/** A field for a part of what is listed; what is typed stands in the address. */

import { type JSX, useEffect, useRef, useState } from "react";
import type { Change } from "@/kit/usePage";

interface Props {
  label: string;
  placeholder: string;
  /** The parameter of the address. */
  name: string;
  parameters: URLSearchParams;
  change: (change: Change) => void;
}

export function SearchField({ label, placeholder, name, parameters, change }: Props): JSX.Element {
  const said = parameters.get(name) ?? "";
  const [text, setText] = useState(said);
  const typed = useRef(said);
  useEffect(() => {
    // The address itself counts: of what is typed, an earlier letter may be drawn only now.
    const address = new URLSearchParams(window.location.search).get(name) ?? "";
    if (said === typed.current || address === typed.current) return;
    // It changed by other means: a link, or the way back.
    typed.current = said;
    setText(said);
  }, [said, name]);
  return (
    <input
      className="field"
      type="search"
      aria-label={label}
      placeholder={placeholder}
      value={text}
      onChange={(event) => {
        typed.current = event.target.value;
        setText(event.target.value);
        change({ [name]: event.target.value });
      }}
    />
  );
}
