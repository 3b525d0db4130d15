import { type Infer, s } from "#lang/schema";
import { labelSetter } from "../label-cache.ts";
import { badLabelName, isLabelName, type Stage, type StageContext } from "../stage.ts";
import { byName } from "./regex.ts";

export const labelsBody = s
  .object({
    values: s
      .map(s.string())
      .doc("Labels and where their values come from; an empty source means the label's own name."),
    source_type: s
      .oneOf(["extracted", "structured_metadata"])
      .default("extracted")
      .doc("Whether sources name extracted values or structured metadata."),
  })
  .rule("values", (args) => [...args.values.keys()].every(isLabelName), badLabelName)
  .doc("Sets labels from extracted values or structured metadata.");

/** Alloy's stages/labels.go: what is missing or null leaves the label as it is. */
export function buildLabels(args: Infer<typeof labelsBody>, context: StageContext): Stage {
  const sources = [...args.values].map(([name, source]) => [name, source === "" ? name : source] as const).sort(byName);
  const setter = labelSetter(sources.map(([name]) => name));
  const values: (string | undefined)[] = sources.map(() => undefined);
  if (args.source_type === "structured_metadata") {
    return {
      explain: (entry) =>
        withoutValue(sources.filter(([, source]) => metadataValue(entry.metadata ?? [], source) === undefined)),
      process(entry) {
        const { metadata } = entry;
        if (metadata === undefined) return true;
        for (let i = 0; i < sources.length; i++) values[i] = metadataValue(metadata, sources[i]![1]);
        entry.labels = setter.get(entry.labels, values);
        return true;
      },
    };
  }
  const slots = sources.map(([, source]) => context.slots.of(source));
  return {
    explain: (entry) => withoutValue(sources.filter((_, i) => entry.text(slots[i]!) === undefined)),
    process(entry) {
      for (let i = 0; i < slots.length; i++) values[i] = entry.text(slots[i]!);
      entry.labels = setter.get(entry.labels, values);
      return true;
    },
  };
}

function withoutValue(missing: readonly (readonly [name: string, source: string])[]): string | undefined {
  if (missing.length === 0) return undefined;
  return `no value for ${missing.map(([, source]) => `\`${source}\``).join(", ")}`;
}

function metadataValue(metadata: readonly string[], name: string): string | undefined {
  for (let i = 0; i < metadata.length; i += 2) if (metadata[i] === name) return metadata[i + 1];
  return undefined;
}
