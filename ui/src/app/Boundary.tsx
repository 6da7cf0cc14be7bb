/** A page that fails leaves the navigation standing, says what happened, and can be tried again. */

import { Component, type ReactNode } from "react";
import { Failure } from "@/kit/Notice";

interface Props {
  /** What is shown; another one begins anew. */
  of: string;
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

  override render(): ReactNode {
    if (this.state.error === null) return this.props.children;
    // A part of the pages that did not come is not asked for twice by one document.
    return <Failure error={this.state.error} again={() => window.location.reload()} />;
  }
}
