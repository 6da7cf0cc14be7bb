/** The moment at which assets are judged: now, or any other. */

import { type JSX, useState } from "react";
import { Icon } from "@/kit/Icon";

export function MomentField({
  value,
  choose,
}: {
  value: string;
  choose: (moment: string) => void;
}): JSX.Element {
  const [editing, setEditing] = useState(false);
  if (value === "" && !editing)
    return (
      <button
        type="button"
        className="button quiet end dim"
        title="Judge all assets at another moment"
        onClick={() => setEditing(true)}
      >
        As of now <Icon name="down" size={12} />
      </button>
    );
  return (
    <div className="moment end" data-set={value !== "" || undefined}>
      <label className="dim">
        As of{" "}
        <input
          type="datetime-local"
          className="field"
          value={value === "" ? "" : local(value)}
          onChange={(event) => {
            const moment = new Date(event.target.value);
            if (!Number.isNaN(moment.getTime())) choose(moment.toISOString().replace(".000Z", "Z"));
          }}
        />
      </label>
      <button
        type="button"
        className="button quiet"
        onClick={() => {
          setEditing(false);
          choose("");
        }}
      >
        <Icon name="close" size={14} /> Now
      </button>
    </div>
  );
}

/** A moment as the field writes it: in the viewer's zone, to the minute. */
function local(text: string): string {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) return "";
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
