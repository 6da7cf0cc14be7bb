/** A choice of one among a few, side by side. */

import { type JSX, useId } from "react";

interface Props<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  choose: (value: T) => void;
}

/** `<Segments label="Theme" value="dark" options={[["dark", "Dark"], …]} choose={…} />`: radio buttons, so arrows move. */
export function Segments<T extends string>({ label, value, options, choose }: Props<T>): JSX.Element {
  const name = useId();
  return (
    <fieldset className="segments">
      <legend className="visually-hidden">{label}</legend>
      {options.map(([option, text]) => (
        <label key={option} className={option === value ? "chosen" : undefined}>
          <input type="radio" name={name} checked={option === value} onChange={() => choose(option)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}
