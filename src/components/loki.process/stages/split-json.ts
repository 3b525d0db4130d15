import { type Infer, s } from "#lang/schema";
import { copyEntry, type Entry, restoreEntry } from "../entry.ts";
import type { Stage, StageContext } from "../stage.ts";

export const splitJsonBody = s
  .object({ source: s.string().nonEmpty().optional().doc("Extracted value to split instead of the line.") })
  .doc("Makes one entry of each element of a JSON array.");

/** Alloy's stages/split_json.go: elements keep their text; what is no array passes unchanged, an empty array is dropped. */
export function buildSplitJson(args: Infer<typeof splitJsonBody>, context: StageContext): Stage {
  const slot = args.source === undefined ? undefined : context.slots.of(args.source);
  const spare = context.spare();
  const from = slot === undefined ? "the line" : `\`${args.source}\``;
  const unmatched = context.unmatched("are not JSON arrays", `${from} is not a JSON array`);
  const empty = context.drop("empty_json_array", `${from} is an empty array`);

  /** JSON's own characters are ASCII, so bytes will do, and those that are no UTF-8 stay what they are. */
  function split(entry: Entry): Uint8Array[] | undefined {
    if (slot === undefined) {
      const line = entry.store.data.latin1Slice(entry.start, entry.end);
      return splitArray(line)?.map((element) => Buffer.from(element, "latin1"));
    }
    const text = entry.text(slot);
    return text === undefined ? undefined : splitArray(text)?.map((element) => Buffer.from(element));
  }

  return {
    sent: "an element of the array",
    process(entry) {
      const elements = split(entry);
      if (elements === undefined) {
        unmatched.add();
        return true;
      }
      const last = elements.pop();
      if (last === undefined) {
        empty.add();
        return false;
      }
      for (const element of elements) {
        const held = copyEntry(entry);
        restoreEntry(held, element, held.acknowledgements, spare);
        context.emit(spare);
      }
      entry.setLineBytes(last);
      return true;
    },
  };
}

/** The texts of a JSON array's elements; undefined if the text is no array. */
export function splitArray(text: string): string[] | undefined {
  const open = /^[ \t\r\n]*\[/.exec(text)?.[0].length;
  if (open === undefined) return undefined;
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const elements: string[] = [];
  let depth = 0;
  let start = open;
  for (let at = open; at < text.length; at++) {
    const char = text[at]!;
    if (char === '"') while (text[++at] !== '"') if (text[at] === "\\") at += 1;
    if (char === "[" || char === "{") depth += 1;
    else if ((char === "]" || char === "}") && depth > 0) depth -= 1;
    else if (depth === 0 && (char === "," || char === "]")) {
      const element = text.slice(start, at).replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
      if (element !== "") elements.push(element);
      if (char === "]") break;
      start = at + 1;
    }
  }
  return elements;
}
