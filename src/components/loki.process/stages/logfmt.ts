import { LogfmtReader } from "#formats/logfmt";
import { type Infer, s } from "#lang/schema";
import { VALUE_RANGE } from "../entry.ts";
import type { Stage, StageContext } from "../stage.ts";
import { missingSource } from "./source.ts";

export const logfmtBody = s
  .object({
    mapping: s.map(s.string()).optional().doc("Names of extracted values and the logfmt keys for them."),
    source: s.string().default("").doc("Extracted value to parse instead of the line."),
    regex: s.regex().default("").doc("Keys to extract under their own names."),
  })
  .rule(
    "mapping",
    (args) => (args.mapping !== undefined && args.mapping.size > 0) || args.regex.source !== "",
    "or `regex` is required: say what to extract",
  )
  .doc("Extracts values from logfmt.");

/** Alloy's stages/logfmt.go: pairs before a syntax error count. If two names map to one key, the last one gets it. */
export function buildLogfmt(args: Infer<typeof logfmtBody>, context: StageContext): Stage {
  const slotOfKey = new Map<string, number>();
  for (const [name, key] of args.mapping ?? []) slotOfKey.set(key === "" ? name : key, context.slots.of(name));
  const keys = [...slotOfKey].map(([key, slot]) => ({ bytes: Buffer.from(key), slot }));
  const source = args.source === "" ? undefined : context.slots.of(args.source);
  const regex = args.regex.source === "" ? undefined : args.regex;
  const reader = new LogfmtReader();
  const unmatched = context.unmatched(
    "are not logfmt",
    `${source === undefined ? "the line" : `\`${args.source}\``} is not logfmt, or not to its end`,
  );
  const missing = missingSource(args.source, context);

  function slotFor(data: Uint8Array): number | undefined {
    const length = reader.keyEnd - reader.keyStart;
    next: for (const { bytes, slot } of keys) {
      if (bytes.length !== length) continue;
      for (let i = 0; i < length; i++) if (bytes[i] !== data[reader.keyStart + i]) continue next;
      return slot;
    }
    return undefined;
  }

  return {
    process(entry) {
      let { data } = entry.store as { data: Uint8Array };
      if (source === undefined) reader.reset(data, entry.start, entry.end);
      else {
        const text = entry.text(source);
        if (text === undefined) {
          missing.add();
          return true;
        }
        data = Buffer.from(text);
        reader.reset(data, 0, data.length);
      }
      while (reader.next()) {
        const slot = slotFor(data);
        if (slot !== undefined) {
          if (reader.unquoted !== undefined || source !== undefined) entry.setText(slot, reader.value());
          else entry.setRange(slot, VALUE_RANGE, reader.valueStart, reader.valueEnd);
        }
        if (regex !== undefined) {
          const key = reader.key();
          if (regex.test(key)) entry.setNamed(key, reader.value());
        }
      }
      if (reader.error !== undefined) unmatched.add();
      return true;
    },
  };
}
