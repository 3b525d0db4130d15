import { Component, type ComponentType, createElement, type FunctionComponent } from "preact";

/** A component that is drawn again only when one of its properties is another value; for rows and boxes in their hundreds. */
export function memo<P extends object>(draw: FunctionComponent<P>): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const before = this.props as Readonly<Record<string, unknown>>;
      const after = next as Readonly<Record<string, unknown>>;
      for (const name in after) if (after[name] !== before[name]) return true;
      for (const name in before) if (!(name in after)) return true;
      return false;
    }
    override render() {
      return createElement(draw, this.props as P);
    }
  };
}
