import type { Entry } from "../entry.ts";
import type { StageContext, Tally } from "../stage.ts";

/** Where a stage with an optional `source` reads from: the line, or an extracted value; undefined if that is missing. */
export function sourceReader(source: string | undefined, context: StageContext): (entry: Entry) => string | undefined {
  if (source === undefined || source === "") return (entry) => entry.line;
  const slot = context.slots.of(source);
  const missing = missingSource(source, context);
  return (entry) => {
    const text = entry.text(slot);
    if (text === undefined) missing.add();
    return text;
  };
}

/** To be added to for entries without the extracted value that a stage reads from. */
export function missingSource(source: string | undefined, context: StageContext): Tally {
  return context.note(`no match: there is no extracted value \`${source}\``);
}
