import { marshalJson } from "#formats/json-fields";
import { type Infer, s } from "#lang/schema";
import { LabelCache } from "../label-cache.ts";
import type { Stage, StageContext } from "../stage.ts";
import { byName } from "./regex.ts";

export const packBody = s
  .object({
    labels: s.list(s.string()).doc("Extracted values and labels to put into the line."),
    ingest_timestamp: s.bool().default(true).doc("Whether the entry gets the current time."),
  })
  .doc("Packs labels and the line into a JSON object.");

/** Alloy's stages/pack.go. */
export function buildPack(args: Infer<typeof packBody>, context: StageContext): Stage {
  const wanted = [...new Set(args.labels)].map((name) => [name, context.slots.of(name)] as const).sort(byName);
  // What was packed is removed from the labels; null values are not packed, so they are part of the cache's key.
  const names = wanted.map(([name]) => name);
  const remaining = new LabelCache((parent, packed) => parent.filter((name) => packed[names.indexOf(name)] !== PACKED));
  const packed: (string | undefined)[] = names.map(() => undefined);
  return {
    process(entry) {
      let json = "{";
      for (let i = 0; i < wanted.length; i++) {
        const [name, slot] = wanted[i]!;
        const text = entry.text(slot);
        packed[i] = text === undefined ? undefined : PACKED;
        if (text !== undefined) json += `${marshalJson(name)}:${marshalJson(text)},`;
      }
      entry.setLine(`${json}"_entry":${marshalJson(entry.line)}}`);
      entry.labels = remaining.get(entry.labels, packed);
      if (args.ingest_timestamp) {
        const now = context.clock.now();
        entry.ms = Math.floor(now);
        entry.ns = Math.floor((now - Math.floor(now)) * 1_000_000);
      }
      return true;
    },
  };
}

const PACKED = "packed";
