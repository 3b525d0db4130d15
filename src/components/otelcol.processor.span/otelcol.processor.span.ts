import { compileRegex, type Regex } from "#base/regex";
import { SPAN, STATUS, STATUS_CODE } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey } from "#formats/otlp/values";
import { editingInput, outputsOf } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { ItemSelection, matchBlocks, scalarText, withMatchRules } from "#kits/otlp/match";
import { regexFaults } from "#kits/regex-argument";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const CODES = { Unset: STATUS_CODE.unset, Error: STATUS_CODE.error, Ok: STATUS_CODE.ok } as const;

const toAttributesSchema = s.object({
  rules: s
    .list(s.string())
    .doc("Regular expressions; their named groups become attributes, and `{name}` in the span's name."),
  break_after_match: s.bool().default(false).doc("Whether the rules after the first that matches are left out."),
  keep_original_name: s.bool().default(false).doc("Whether the span keeps its name."),
});
const baseArgs = s.object({
  ...matchBlocks,
  name: s
    .block(
      s.object({
        from_attributes: s
          .list(s.string())
          .default([])
          .doc("Attributes whose values make the new name, in order; spans without one of them keep theirs."),
        separator: s.string().default("").doc("What stands between the values."),
        to_attributes: s.block(toAttributesSchema).doc("Takes attributes out of the name."),
      }),
    )
    .presentByDefault()
    .doc("How to rename spans."),
  status: s
    .block(
      s
        .object({
          code: s.oneOf(["Ok", "Error", "Unset"]).doc("Status to set."),
          description: s.string().default("").doc("What went wrong, for `Error`."),
        })
        .rule(
          "description",
          (a) => a.description === "" || a.code === "Error",
          'is only for `code = "Error"`: leave it out',
        ),
    )
    .doc("The status to set."),
  output: s.block(outputSchema).required().doc("Where the data goes."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
type Arguments = Infer<typeof baseArgs>;

/** Spans that go nowhere are not worth a check, as in Alloy. */
const signalsOf = (a: Arguments) => (a.output.traces.length > 0 ? (["traces"] as const) : []);

const args = withMatchRules(baseArgs, signalsOf)
  .rule(
    "name",
    (a) => a.name.from_attributes.length > 0 || (a.name.to_attributes?.rules.length ?? 0) > 0 || a.status !== undefined,
    "says nothing to do: give `from_attributes` or rules in `to_attributes`, or a `status` block",
  )
  .refuse((a) => regexFaults("name.to_attributes.rules", rulesOf(a)))
  .suspect((a) =>
    rulesOf(a).flatMap((rule, i) => {
      if (!compileRegex(rule).groupNames.slice(1).includes("")) return [];
      return [
        {
          field: `name.to_attributes.rules[${i}]`,
          message: "has a group without a name, which makes an attribute with an empty key",
          hint: "write `(?P<name>…)`, or `(?:…)` for no attribute",
        },
      ];
    }),
  );

const rulesOf = (a: Arguments) => a.name.to_attributes?.rules ?? [];

export default defineComponent({
  name: "otelcol.processor.span",
  stability: "generally-available",
  summary: "Renames spans, takes attributes out of their names, and sets their status.",
  example: `otelcol.processor.span "default" {
  name {
    to_attributes {
      rules = ["^/api/v1/document/(?P<documentId>.*)/update$"]
    }
  }

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,

  start(ctx, first) {
    const selection = new ItemSelection("traces", first.include, first.exclude);
    const steps = stepsOf(first);
    const lent = new OtlpRecord();
    function edit(span: OtlpRecord): void {
      for (const step of steps) step(span);
    }
    const edits =
      first.output.traces.length === 0 ? {} : { traces: (request: OtlpRecord) => selection.each(request, lent, edit) };
    ctx.export({ input: editingInput(ctx, outputsOf(ctx, first.output), edits) });
  },
});

/** What is done to each span, in order. Matches processor/spanprocessor. */
function stepsOf({ name, status }: Arguments): ((span: OtlpRecord) => void)[] {
  const steps: ((span: OtlpRecord) => void)[] = [];
  if (name.from_attributes.length > 0) steps.push(naming(name.from_attributes, name.separator));
  if (name.to_attributes !== undefined) steps.push(extraction(name.to_attributes));
  if (status !== undefined) {
    steps.push((span) => {
      const record = span.record(SPAN.status);
      record.setVarint(STATUS.code, CODES[status.code], 32);
      record.setText(STATUS.message, status.description);
    });
  }
  return steps;
}

function naming(names: readonly string[], separator: string): (span: OtlpRecord) => void {
  const keys = names.map((name) => new AttributeKey(name));
  return (span) => {
    if (!span.has(SPAN.attributes)) return;
    const attributes = span.map(SPAN.attributes);
    let name = "";
    for (let k = 0; k < keys.length; k++) {
      const i = attributes.find(keys[k]!);
      if (i < 0) return;
      if (k > 0) name += separator;
      name += scalarText(attributes.valueAt(i)) ?? "<unknown-attribute-type>";
    }
    span.setText(SPAN.name, name);
  };
}

interface ExtractionRule {
  readonly regex: Regex;
  /** By group; [0] stands for the whole match. */
  readonly keys: readonly AttributeKey[];
}

function extraction(given: Infer<typeof toAttributesSchema>): (span: OtlpRecord) => void {
  const rules = given.rules.map((rule): ExtractionRule => {
    const regex = compileRegex(rule);
    return { regex, keys: regex.groupNames.map((name) => new AttributeKey(name)) };
  });
  return (span) => {
    let name = span.text(SPAN.name);
    if (name === "") return;
    for (const rule of rules) {
      const replaced = extract(rule, name, span);
      if (replaced === undefined) continue;
      if (!given.keep_original_name) span.setText(SPAN.name, (name = replaced));
      if (given.break_after_match) return;
    }
  };
}

/**
 * Makes attributes of the groups; the name with the groups replaced, undefined if the rule does not match. Groups inside of
 * others, or that took no part, are not replaced; upstream ends with a panic at them.
 */
function extract({ regex, keys }: ExtractionRule, name: string, span: OtlpRecord): string | undefined {
  if (!regex.test(name)) return undefined;
  const range = regex.matchRange(name);
  if (range === null) return undefined;
  const attributes = span.map(SPAN.attributes);
  let replaced = "";
  let copied = 0;
  for (let i = 1; i < keys.length; i++) {
    const [from, to] = [range[2 * i]!, range[2 * i + 1]!];
    attributes.set(keys[i]!, from < 0 ? "" : name.slice(from, to));
    if (from < copied) continue;
    replaced += `${name.slice(copied, from)}{${keys[i]!.text}}`;
    copied = to;
  }
  return replaced + name.slice(copied);
}
