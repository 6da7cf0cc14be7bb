/** Choosing a stretch of cells: by dragging, with Shift and a click, or with Shift and the arrows. */

import { type KeyboardEvent, type PointerEvent, useCallback, useEffect, useRef, useState } from "react";
import { ordered, step } from "@/pages/partitions/cells";

export interface Range {
  anchor: number;
  focus: number;
}

interface Chosen {
  range: Range | null;
  /** How many cells there are, and how many an arrow downward leads on. */
  count: number;
  downward: number;
  choose: (range: Range | null) => void;
}

export interface RangeProps {
  onPointerDown: (event: PointerEvent<HTMLElement>) => void;
  onPointerMove: (event: PointerEvent<HTMLElement>) => void;
  onKeyDown: (event: KeyboardEvent<HTMLElement>) => void;
}

/** What is being chosen (while a drag goes on, too), and the handlers of what holds the cells; cells have `data-cell`. */
export function useRange({ range, count, downward, choose }: Chosen) {
  const [dragged, setDragged] = useState<Range | null>(null);
  const dragging = useRef<Range | null>(null);
  const holder = useRef<HTMLDivElement>(null);
  // Keys may come faster than the address changes.
  const latest = useRef(range);
  useEffect(() => {
    latest.current = range;
  }, [range]);
  const current = dragged ?? range;

  useEffect(() => {
    const end = () => {
      if (dragging.current) choose(dragging.current);
      dragging.current = null;
      setDragged(null);
    };
    const cancel = () => {
      dragging.current = null;
      setDragged(null);
    };
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", cancel);
    return () => {
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", cancel);
    };
  }, [choose]);

  const onPointerDown = useCallback(
    (event: PointerEvent<HTMLElement>) => {
      const place = placeOf(event.target);
      if (place === null || event.button !== 0) return;
      // A finger moves on to other cells only if the first one lets it go.
      (event.target as Element).releasePointerCapture?.(event.pointerId);
      const begun =
        event.shiftKey && range ? { anchor: range.anchor, focus: place } : { anchor: place, focus: place };
      dragging.current = begun;
      setDragged(begun);
    },
    [range],
  );
  const onPointerMove = useCallback((event: PointerEvent<HTMLElement>) => {
    if (!dragging.current) return;
    const place = placeOf(document.elementFromPoint(event.clientX, event.clientY));
    if (place === null || place === dragging.current.focus) return;
    dragging.current = { anchor: dragging.current.anchor, focus: place };
    setDragged(dragging.current);
  }, []);
  const onKeyDown = useCallback(
    (event: KeyboardEvent<HTMLElement>) => {
      if (event.key === "Escape" && range) {
        choose(null);
        return;
      }
      const at = placeOf(event.target);
      if (at === null) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose({ anchor: at, focus: at });
        return;
      }
      const by = step(event.key, downward);
      if (by === null) return;
      event.preventDefault();
      const focus = Math.max(0, Math.min(count - 1, at + by));
      if (event.shiftKey) {
        latest.current = { anchor: latest.current?.anchor ?? at, focus };
        choose(latest.current);
      }
      holder.current?.querySelector<HTMLElement>(`[data-cell="${focus}"]`)?.focus();
    },
    [range, count, downward, choose],
  );
  const chosen = current ? ordered(current.anchor, current.focus) : null;
  return { holder, chosen, handlers: { onPointerDown, onPointerMove, onKeyDown } satisfies RangeProps };
}

function placeOf(target: EventTarget | null): number | null {
  const cell = target instanceof Element ? target.closest<HTMLElement>("[data-cell]") : null;
  return cell ? Number(cell.dataset.cell) : null;
}
