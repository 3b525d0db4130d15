import { type Infer, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import { isLabelName, type Stage, type StageContext } from "../stage.ts";
import { missingSource } from "./source.ts";

export const eventLogMessageBody = s
  .object({
    source: s.string().default("message").doc("Extracted value to parse."),
    drop_invalid_labels: s
      .bool()
      .default(false)
      .doc("Leave out fields whose names are not valid for labels, rather than changing the names."),
    overwrite_existing: s
      .bool()
      .default(false)
      .doc("Overwrite extracted values, rather than adding `_extracted` to the new name."),
  })
  .rule("source", (args) => isLabelName(args.source), "must be a name of letters, digits and underscores")
  .doc("Extracts the fields of the message of a Windows event, one `name: value` on a line.");

/**
 * Alloy's stages/eventlogmessage.go. There an entry whose source is null gets lost; here it passes, like one without.
 */
export function buildEventLogMessage(args: Infer<typeof eventLogMessageBody>, context: StageContext): Stage {
  const source = context.slots.of(args.source);
  const missing = missingSource(args.source, context);
  // Whether a name is taken must be known even where nobody reads its value.
  if (!args.overwrite_existing) context.slots.keepsAll = true;
  return {
    process(entry) {
      const text = entry.text(source);
      if (text === undefined) {
        missing.add();
        return true;
      }
      for (const line of text.split("\r\n")) {
        const colon = line.indexOf(":");
        if (colon < 0) continue;
        let name = line.slice(0, colon);
        if (!isLabelName(name)) {
          if (args.drop_invalid_labels) continue;
          name = sanitizeLabelName(name);
        }
        if (!args.overwrite_existing && isExtracted(entry, name)) name += "_extracted";
        entry.setNamed(name, trimSpace(line.slice(colon + 1)));
      }
      return true;
    },
  };
}

/** Whether there is a value of this name, whatever it is. */
export function isExtracted(entry: Entry, name: string): boolean {
  const slot = entry.slots.find(name);
  return slot === undefined ? entry.extra?.has(name) === true : entry.has(slot);
}

/** A name with underscores for all characters that a label's name may not have (strutil.SanitizeFullLabelName). */
export function sanitizeLabelName(name: string): string {
  const sanitized = name.replace(/[^a-zA-Z0-9_]/gu, "_").replace(/^[0-9]/, "_");
  return sanitized === "" ? "_" : sanitized;
}

const SPACE = "[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const ENDS = new RegExp(`^${SPACE}|${SPACE}$`, "g");

/** Go's strings.TrimSpace. */
export function trimSpace(text: string): string {
  return text.replace(ENDS, "");
}
