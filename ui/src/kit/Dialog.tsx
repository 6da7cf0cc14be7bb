/** A dialog over the page: the browser keeps the focus in it and closes it on Escape. */

import { type JSX, type ReactNode, useEffect, useRef } from "react";

interface Props {
  label: string;
  close: () => void;
  className?: string;
  children: ReactNode;
}

/** Open for as long as it is rendered; `close` is called on Escape and on a click beside it. */
export function Dialog({ label, close, className, children }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    if (shown && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does the same by keyboard
    <dialog
      ref={dialog}
      className={className ? `dialog ${className}` : "dialog"}
      aria-label={label}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget) close();
      }}
    >
      {children}
    </dialog>
  );
}
