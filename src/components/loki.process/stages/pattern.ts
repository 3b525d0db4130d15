import { type Infer, s } from "#lang/schema";
import { VALUE_RANGE } from "../entry.ts";
import { labelSetter } from "../label-cache.ts";
import { isLabelName, type Stage, type StageContext, StageError } from "../stage.ts";
import { byName } from "./regex.ts";
import { missingSource } from "./source.ts";

export const patternBody = s
  .object({
    pattern: s.string().nonEmpty().doc("LogQL pattern: literal text and `<name>` or `<_>` between."),
    source: s.string().nonEmpty().optional().doc("Extracted value to match instead of the line."),
    labels_from_groups: s.bool().default(false).doc("Whether named captures also become labels."),
  })
  .doc("Extracts values with a LogQL pattern.");

/** Captures and the literal behind each; the last one's may be missing. */
interface Pattern {
  readonly prefix: Buffer;
  readonly captures: readonly { readonly name: string; readonly until: Buffer | undefined }[];
}

/** Alloy's stages/pattern.go over Loki's pkg/logql/log/pattern. */
export function buildPattern(args: Infer<typeof patternBody>, context: StageContext): Stage {
  const { prefix, captures } = parsePattern(args.pattern);
  const slots = captures.map(({ name }) => (name === "_" ? -1 : context.slots.of(name)));
  const names = captures.map(({ name }) => name).filter((name) => name !== "_");
  const labels = args.labels_from_groups
    ? names.map((name) => [name, context.slots.of(name)] as const).sort(byName)
    : [];
  const setter = labelSetter(labels.map(([name]) => name));
  const source = args.source === undefined ? undefined : context.slots.of(args.source);
  const unmatched = context.unmatched(
    "do not match the pattern",
    `${source === undefined ? "the line" : `\`${args.source}\``} does not fit the pattern`,
  );
  const missing = missingSource(args.source, context);
  const values: (string | undefined)[] = labels.map(() => undefined);
  const found = new Set<number>();
  return {
    process(entry) {
      let bytes: Buffer = entry.store.data;
      let { start: at, end } = entry;
      if (source !== undefined) {
        const text = entry.text(source);
        if (text === undefined) {
          missing.add();
          return true;
        }
        bytes = Buffer.from(text);
        at = 0;
        end = bytes.length;
      }
      const input = bytes.subarray(at, end);
      if (
        input.length === 0 ||
        input.compare(prefix, 0, prefix.length, 0, Math.min(prefix.length, input.length)) !== 0
      ) {
        unmatched.add();
        return true;
      }
      found.clear();
      let from = prefix.length;
      for (let i = 0; i < captures.length; i++) {
        const { until } = captures[i]!;
        const border = until === undefined ? -1 : input.indexOf(until, from);
        // A literal that is missing makes the capture reach to the end, and ends the matching.
        const to = border === -1 ? input.length : border;
        const slot = slots[i]!;
        if (slot >= 0) {
          if (source === undefined) entry.setRange(slot, VALUE_RANGE, at + from, at + to);
          else entry.setText(slot, input.toString("utf8", from, to));
          found.add(slot);
        }
        if (border === -1) break;
        from = to + until!.length;
      }
      if (labels.length > 0) {
        for (let i = 0; i < labels.length; i++) {
          const slot = labels[i]![1];
          values[i] = found.has(slot) ? entry.text(slot) : undefined;
        }
        entry.labels = setter.get(entry.labels, values);
      }
      return true;
    },
  };
}

function parsePattern(text: string): Pattern {
  const parts = text.split(/<([A-Za-z_][A-Za-z0-9_]*)>/);
  const captures: { name: string; until: Buffer | undefined }[] = [];
  for (let i = 1; i < parts.length; i += 2) {
    const name = parts[i]!;
    const literal = parts[i + 1]!;
    const isLast = i + 2 >= parts.length;
    if (literal === "" && !isLast) throw new StageError("`pattern` has two captures with no text between them");
    if (name !== "_" && captures.some((each) => each.name === name)) {
      throw new StageError(`\`pattern\` has two captures named ${name}`);
    }
    if (name !== "_" && !isLabelName(name)) throw new StageError(`\`pattern\` has an invalid capture name ${name}`);
    captures.push({ name, until: literal === "" ? undefined : Buffer.from(literal) });
  }
  if (captures.every(({ name }) => name === "_")) {
    throw new StageError("`pattern` needs at least one capture with a name, such as <status>");
  }
  return { prefix: Buffer.from(parts[0]!), captures };
}
