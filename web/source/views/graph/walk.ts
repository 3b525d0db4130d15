import type { Layout } from "./layout.ts";
import type { Pipeline } from "./pipeline.ts";

/** Steps from box to box, for the arrow keys. */

/** The box at the other end of an edge: of what it feeds (`direction` 1) or what feeds it (-1) the one at its height. */
export function flowNeighbour(pipeline: Pipeline, layout: Layout, id: string, direction: number): string | undefined {
  const here = layout.boxes.get(id);
  if (here === undefined) return undefined;
  const edges = (direction > 0 ? pipeline.outOf : pipeline.into).get(id) ?? [];
  const ends = edges.map((edge) => (direction > 0 ? edge.to : edge.from));
  return nearest(layout, ends, ({ y }) => Math.abs(y - here.y));
}

/** The next box above (`direction` -1) or below (1), in the same column if there is one. */
export function columnNeighbour(layout: Layout, id: string, direction: number): string | undefined {
  const here = layout.boxes.get(id);
  if (here === undefined) return undefined;
  const beyond = [...layout.boxes].filter(([, { y }]) => (y - here.y) * direction > 1).map(([other]) => other);
  return nearest(layout, beyond, ({ x, y }) => Math.abs(y - here.y) + 3 * Math.abs(x - here.x));
}

function nearest(
  layout: Layout,
  ids: readonly string[],
  distance: (box: { readonly x: number; readonly y: number }) => number,
): string | undefined {
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const id of ids) {
    const box = layout.boxes.get(id);
    const away = box === undefined ? Number.POSITIVE_INFINITY : distance(box);
    if (away >= least) continue;
    least = away;
    best = id;
  }
  return best;
}
