/** The scale of a run's time, and looking closer: by dragging, the wheel with Ctrl or ⌘, or buttons. */

import { type CSSProperties, type JSX, type PointerEvent, useEffect, useRef, useState } from "react";
import { span } from "@/lib/text";
import { moved, placed, ticks, type Window, zoomed } from "@/pages/runs/course";

export interface Zoom {
  handlers: {
    ref: (element: HTMLDivElement | null) => void;
    onPointerDown: (event: PointerEvent<HTMLDivElement>) => void;
    onPointerMove: (event: PointerEvent<HTMLDivElement>) => void;
  };
  /** What is being dragged over, as percent. */
  drawn: { left: number; width: number } | null;
  closer: () => void;
  farther: () => void;
  move: (share: number) => void;
  all: () => void;
}

/** What a run's time is looked at through; `set` gets null for all of it. */
export function useZoom(window: Window, whole: Window, set: (window: Window | null) => void): Zoom {
  const element = useRef<HTMLDivElement | null>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const state = useRef({ window, whole, set, drag });
  state.current = { window, whole, set, drag };

  useEffect(() => {
    const end = () => {
      const { drag: dragged, window: shown, set: choose } = state.current;
      if (!dragged) return;
      setDrag(null);
      const [low, high] = [Math.min(dragged.from, dragged.to), Math.max(dragged.from, dragged.to)];
      if (high - low < 0.01) return;
      const size = shown.to - shown.from;
      choose({ from: shown.from + low * size, to: shown.from + high * size });
    };
    globalThis.addEventListener("pointerup", end);
    return () => globalThis.removeEventListener("pointerup", end);
  }, []);
  useEffect(() => {
    const shown = element.current;
    if (!shown) return;
    // React listens passively: a page that zooms would scroll as well.
    const wheel = (event: globalThis.WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { window: now, whole: all, set: choose } = state.current;
      const share = shareAt(shown, event.clientX);
      if (share === null) return;
      const wanted = zoomed(now, event.deltaY > 0 ? 1.25 : 0.8, now.from + share * (now.to - now.from), all);
      choose(wanted.to - wanted.from >= all.to - all.from ? null : wanted);
    };
    shown.addEventListener("wheel", wheel, { passive: false });
    return () => shown.removeEventListener("wheel", wheel);
  }, []);

  const around = (window.from + window.to) / 2;
  const apply = (wanted: Window) => set(wanted.to - wanted.from >= whole.to - whole.from ? null : wanted);
  return {
    handlers: {
      ref: (found) => {
        element.current = found;
      },
      onPointerDown: (event) => {
        if (event.button !== 0 || event.pointerType === "touch") return;
        const share = shareAt(element.current, event.clientX);
        if (share !== null) setDrag({ from: share, to: share });
      },
      onPointerMove: (event) => {
        if (!drag) return;
        const share = shareAt(element.current, event.clientX, true);
        if (share !== null) setDrag({ from: drag.from, to: share });
      },
    },
    drawn:
      drag && Math.abs(drag.to - drag.from) >= 0.01
        ? { left: Math.min(drag.from, drag.to) * 100, width: Math.abs(drag.to - drag.from) * 100 }
        : null,
    closer: () => apply(zoomed(window, 0.5, around, whole)),
    farther: () => apply(zoomed(window, 2, around, whole)),
    move: (share) => apply(moved(window, share, whole)),
    all: () => set(null),
  };
}

/** Where in the lines of a chart a place of the screen is: 0 is their start, 1 their end; null beside them. */
function shareAt(chart: HTMLElement | null, x: number, isHeld = false): number | null {
  const line = chart?.querySelector(".gantt-scale")?.getBoundingClientRect();
  if (!line || line.width === 0) return null;
  const share = (x - line.left) / line.width;
  if (isHeld) return Math.min(1, Math.max(0, share));
  return share >= 0 && share <= 1 ? share : null;
}

export function ZoomButtons({ zoom, isZoomed }: { zoom: Zoom; isZoomed: boolean }): JSX.Element {
  return (
    <div className="zoom" role="group" aria-label="Zoom">
      {isZoomed ? (
        <>
          <button type="button" className="button quiet" aria-label="Earlier" onClick={() => zoom.move(-0.5)}>
            ←
          </button>
          <button type="button" className="button quiet" aria-label="Later" onClick={() => zoom.move(0.5)}>
            →
          </button>
          <button type="button" className="button quiet" onClick={zoom.all}>
            All
          </button>
        </>
      ) : null}
      <button
        type="button"
        className="button quiet"
        aria-label="Farther"
        disabled={!isZoomed}
        onClick={zoom.farther}
      >
        −
      </button>
      <button type="button" className="button quiet" aria-label="Closer" onClick={zoom.closer}>
        +
      </button>
    </div>
  );
}

export function Axis({
  window,
  start,
  drawn,
}: {
  window: Window;
  start: number;
  drawn: Zoom["drawn"];
}): JSX.Element {
  return (
    <div className="gantt-axis" aria-hidden="true">
      <span className="gantt-scale">
        {ticks(window, start).map((at) => {
          const place = placed(at, at, window);
          return place ? (
            <span key={at} className="gantt-tick" style={{ left: `${place.left}%` } as CSSProperties}>
              <span>{at === start ? "0" : span((at - start) / 1000)}</span>
            </span>
          ) : null;
        })}
        {drawn ? (
          <span className="gantt-drawn" style={{ left: `${drawn.left}%`, width: `${drawn.width}%` }} />
        ) : null}
      </span>
    </div>
  );
}
