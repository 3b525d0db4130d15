import type { Labels } from "#base/labels";
import { type Infer, s } from "#lang/schema";
import { LabelCache } from "../label-cache.ts";
import type { Stage, StageContext } from "../stage.ts";

export const structuredMetadataBody = s
  .object({
    values: s.map(s.string()).default({}).doc("Names of metadata and the extracted values or labels for them."),
    regex: s.regex().default("").doc("Extracted values and labels to take under their own names."),
  })
  .rule("values", (args) => !args.values.has(""), "has an empty name: metadata needs a name")
  .doc("Moves extracted values and labels into structured metadata.");

const NONE: readonly string[] = [];

/** Alloy's stages/structured_metadata.go: labels win over extracted values, and those taken are removed. */
export function buildStructuredMetadata(args: Infer<typeof structuredMetadataBody>, context: StageContext): Stage {
  const { slots } = context;
  const sources = [...args.values].map(([name, source]) => {
    const from = source === "" ? name : source;
    return { name, from, slot: slots.of(from) };
  });
  const regex = args.regex.source === "" ? undefined : args.regex;
  if (regex !== undefined) slots.keepsAll = true;
  // Labels that `values` names are gone when the expression looks at the others.
  const named = new Set(sources.map(({ from }) => from));
  const taken = (name: string) => named.has(name) || regex?.test(name) === true;
  const remaining = new LabelCache((parent: Labels) => parent.filter((name) => !taken(name)));

  return {
    explain(entry) {
      const missing = sources.filter(({ name }) => !hasName(entry.metadata, name));
      return missing.length === 0 ? undefined : `no value for ${missing.map(({ from }) => `\`${from}\``).join(", ")}`;
    },
    process(entry) {
      const { labels } = entry;
      let metadata: string[] | undefined;
      const set = (name: string, value: string) => {
        metadata ??= [...(entry.metadata ?? NONE)];
        for (let i = 0; i < metadata.length; i += 2) {
          if (metadata[i] !== name) continue;
          metadata[i + 1] = value;
          return;
        }
        metadata.push(name, value);
      };
      for (let i = 0; i < sources.length; i++) {
        const text = entry.text(sources[i]!.slot);
        if (text !== undefined) set(sources[i]!.name, text);
      }
      if (regex !== undefined) {
        for (const [name] of entry.extracted()) {
          if (!regex.test(name)) continue;
          const text = entry.namedText(name);
          if (text !== undefined) set(name, text);
        }
      }
      for (const { name, from } of sources) {
        const value = labels.get(from);
        if (value !== undefined) set(name, value);
      }
      if (regex !== undefined) {
        for (const [name, value] of labels) if (!named.has(name) && regex.test(name)) set(name, value);
      }
      entry.labels = remaining.get(labels, NONE);
      if (metadata !== undefined) entry.metadata = metadata;
      return true;
    },
  };
}

function hasName(metadata: readonly string[] | undefined, name: string): boolean {
  return metadata?.some((each, i) => i % 2 === 0 && each === name) === true;
}

export const structuredMetadataDropBody = s
  .object({ values: s.list(s.string()).min(1).doc("Names of metadata to remove.") })
  .doc("Removes structured metadata.");

/** Alloy's stages/structured_metadata_drop.go. */
export function buildStructuredMetadataDrop(args: Infer<typeof structuredMetadataDropBody>): Stage {
  const names = new Set(args.values);
  return {
    process(entry) {
      const { metadata } = entry;
      if (metadata === undefined) return true;
      const kept: string[] = [];
      for (let i = 0; i < metadata.length; i += 2) {
        if (!names.has(metadata[i]!)) kept.push(metadata[i]!, metadata[i + 1]!);
      }
      entry.metadata = kept.length === 0 ? undefined : kept;
      return true;
    },
  };
}
