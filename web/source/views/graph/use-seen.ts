import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import type { Box, Viewport } from "./viewport.ts";

/**
 * Where boxes and lines are drawn in full: what is seen, with as much again around it. `far`: all is so small that nothing
 * is drawn in full. Undefined before anything is seen.
 */
export type Seen = Box | "far" | undefined;

/**
 * Follows the viewport, but only so often that what comes into view is there: most moves draw nothing anew. Far away, in
 * the overview of a large graph, nothing is drawn in full.
 */
export function useSeen(viewport: { readonly current: Viewport | undefined }): Seen {
  const [seen, setSeen] = useState<Seen>(undefined);
  const update = () => setSeen((before) => next(before, viewport.current));
  useLayoutEffect(update, []);
  useEffect(() => viewport.current?.onChange(update), []);
  return seen;
}

function next(before: Seen, viewport: Viewport | undefined): Seen {
  if (viewport === undefined) return undefined;
  if (viewport.isFar) return "far";
  const { x, y, width, height } = viewport.window;
  if (typeof before === "object" && contains(before, { x, y, width, height }) && before.width < width * 6)
    return before;
  return { x: x - width / 2, y: y - height / 2, width: width * 2, height: height * 2 };
}

function contains(outer: Box, inner: Box): boolean {
  return (
    outer.x <= inner.x &&
    outer.y <= inner.y &&
    outer.x + outer.width >= inner.x + inner.width &&
    outer.y + outer.height >= inner.y + inner.height
  );
}

export function overlaps(seen: Seen, { x, y, width, height }: Box): boolean {
  return (
    typeof seen === "object" &&
    x < seen.x + seen.width &&
    x + width > seen.x &&
    y < seen.y + seen.height &&
    y + height > seen.y
  );
}
