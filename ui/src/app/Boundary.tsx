/** A page that fails leaves the navigation standing, says what happened, and can be tried again. */

import { Component, type ReactNode } from "react";
import { Failure } from "@/kit/Notice";
import type { Connection } from "@/lib/live";

interface Props {
  /** What is shown; another one begins anew. */
  of: string;
  /** Whether the server is there: once it is back, what failed without it is tried again. */
  connection: Connection;
  children: ReactNode;
}

interface Held {
  error: unknown;
  of: string;
}

export class Boundary extends Component<Props, Held> {
  override state: Held = { error: null, of: this.props.of };

  static getDerivedStateFromError(error: unknown): Partial<Held> {
    return { error };
  }

  static getDerivedStateFromProps(props: Props, held: Held): Held | null {
    return props.of === held.of ? null : { error: null, of: props.of };
  }

  override componentDidUpdate(before: Props): void {
    const isBack = before.connection === "lost" && this.props.connection === "live";
    if (isBack && this.state.error !== null) this.again();
  }

  // A part of the pages that did not come is not asked for twice by one document.
  again = (): void => window.location.reload();

  override render(): ReactNode {
    if (this.state.error === null) return this.props.children;
    return <Failure page error={this.state.error} again={this.again} />;
  }
}
