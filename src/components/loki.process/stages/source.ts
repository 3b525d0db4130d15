import type { Entry } from "../entry.ts";
import type { StageContext } from "../stage.ts";

/** Where a stage with an optional `source` reads from: the line, or an extracted value; undefined if that is missing. */
export function sourceReader(source: string | undefined, context: StageContext): (entry: Entry) => string | undefined {
  if (source === undefined || source === "") return (entry) => entry.line;
  const slot = context.slots.of(source);
  return (entry) => entry.text(slot);
}
