/** Puts rectangles beside and below each other so that all of them together look like a page. */

interface Size {
  readonly width: number;
  readonly height: number;
}

interface Packed extends Size {
  /** The left upper corners, in the order of the sizes. */
  readonly origins: readonly { readonly x: number; readonly y: number }[];
}

/** A stretch of the lower border of what is placed so far. */
interface Stretch {
  readonly x: number;
  readonly width: number;
  readonly y: number;
}

/**
 * Each in its turn goes as far up as it can, and there as far left, with `gap` around it. The page is about `aspect`
 * times as wide as it is high, and never narrower than the widest one.
 */
export function pack(sizes: readonly Size[], gap: number, aspect: number): Packed {
  const area = sizes.reduce((sum, { width, height }) => sum + (width + gap) * (height + gap), 0);
  const widest = sizes.reduce((most, { width }) => Math.max(most, width), 0);
  const tallest = sizes.reduce((most, { height }) => Math.max(most, height), 0);
  // With a part that is taller than such a page, the others go beside it as long as that makes nothing taller.
  const wanted = Math.max(widest, Math.sqrt(area * aspect), Math.min(area / (tallest + gap || 1), tallest * aspect));
  let skyline: Stretch[] = [{ x: 0, width: wanted + gap, y: 0 }];
  const origins = sizes.map(({ width, height }) => {
    const place = bestPlace(skyline, width + gap);
    skyline = raised(skyline, { x: place.x, width: width + gap, y: place.y + height + gap });
    return place;
  });
  return {
    origins,
    width: sizes.reduce((most, { width }, i) => Math.max(most, origins[i]!.x + width), 0),
    height: sizes.reduce((most, { height }, i) => Math.max(most, origins[i]!.y + height), 0),
  };
}

function bestPlace(skyline: readonly Stretch[], width: number): { x: number; y: number } {
  const right = skyline.at(-1)!.x + skyline.at(-1)!.width;
  let best: { x: number; y: number } | undefined;
  for (const { x } of skyline) {
    if (x > 0 && x + width > right + 0.5) break;
    let y = 0;
    for (const each of skyline) if (each.x < x + width && each.x + each.width > x) y = Math.max(y, each.y);
    if (best === undefined || y < best.y) best = { x, y };
  }
  return best!;
}

function raised(skyline: readonly Stretch[], by: Stretch): Stretch[] {
  const end = by.x + by.width;
  const after: Stretch[] = [];
  for (const each of skyline) {
    const eachEnd = each.x + each.width;
    if (each.x < by.x) after.push({ ...each, width: Math.min(each.width, by.x - each.x) });
    if (eachEnd > end) {
      const x = Math.max(each.x, end);
      after.push({ ...each, x, width: eachEnd - x });
    }
  }
  after.push(by);
  return after.sort((a, b) => a.x - b.x);
}
