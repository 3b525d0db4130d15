import { GROUP, LOG, METRIC, RESOURCE, SCOPE, SPAN } from "#formats/otlp/fields";
import type { OtlpKind } from "#formats/otlp/otlp";
import type { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import { type AnyValue, AttributeKey, type KeyValues } from "#formats/otlp/values";
import { members, resourceGroups } from "#formats/otlp/walk";
import { ArgumentError, faultsOf, within } from "#lang/faults";
import { formatFloat } from "#lang/number";
import { type BodySchema, type Infer, type InferFields, s } from "#lang/schema";
import { attributeText, same } from "../ottl/value.ts";
import { regexArgument } from "../regex-argument.ts";
import { valueFromConfig } from "./config-value.ts";

/**
 * What `include` and `exclude` of processors select. Matches internal/filter of the Collector's contrib repository
 * (filterconfig, filterspan, filterlog, filtermetric, filtermatcher) and config_filter.go of Alloy.
 */

const SEVERITIES = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap((name) =>
  ["", "2", "3", "4"].map((suffix) => name + suffix),
);
/** By number. */
const SPAN_KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"].map(
  (name) => `SPAN_KIND_${name}`,
);
const NO_SERVICE = "<nil-service-name>";

const texts = (doc: string) => s.list(s.string()).default([]).doc(doc);
const attributeSchema = s.object({
  key: s.string().doc("Name of the attribute."),
  value: s.any().optional().doc("Value that it must have; any will do without."),
});
export const matchSchema = s.object({
  match_type: s.oneOf(["strict", "regexp"]).doc("Whether texts are compared as they are, or are regular expressions."),
  services: texts("Values of the resource's `service.name`, of which spans must have one."),
  span_names: texts("Names of which spans must have one."),
  log_bodies: texts("Bodies of which log records must have one."),
  log_severity_texts: texts("Severity texts of which log records must have one."),
  metric_names: texts("Names of which metrics must have one."),
  span_kinds: texts("Kinds of which spans must have one, such as `SPAN_KIND_SERVER`."),
  regexp: s
    .block(
      s.object({
        cache_enabled: s
          .bool()
          .default(false)
          .doc("Keeps the results of regular expressions.")
          .withoutEffect("results are not kept, since finding them would take longer than most expressions do"),
        cache_max_num_entries: s
          .int(0)
          .default(0)
          .doc("How many results are kept.")
          .withoutEffect("results are not kept, since finding them would take longer than most expressions do"),
      }),
    )
    .doc("Settings of regular expressions."),
  log_severity: s
    .block(
      s.object({
        min: s.oneOf(SEVERITIES).doc("Lowest severity that is selected."),
        match_undefined: s.bool().doc("Whether log records without a severity are selected."),
      }),
    )
    .doc("Severities of which log records must have one."),
  attribute: s.blocks(attributeSchema).doc("Attributes that spans or log records must have, all of them."),
  resource: s.blocks(attributeSchema).doc("Attributes that the resource must have, all of them."),
  library: s
    .blocks(
      s.object({
        name: s.string().doc("Name of the instrumentation scope."),
        version: s.string().optional().doc("Version of the instrumentation scope; any will do without."),
      }),
    )
    .doc("What the instrumentation scope must be; with several blocks it must fit each."),
});
export type MatchArguments = Infer<typeof matchSchema>;

type TextTest = (text: string) => boolean;
type AttributesTest = (attributes: KeyValues) => boolean;

/** One of `include` and `exclude`: what it asks of the resource, of the scope, and of the item. */
interface Matcher {
  readonly resource: ((group: OtlpRecord) => boolean) | undefined;
  readonly scope: ((group: OtlpRecord) => boolean) | undefined;
  readonly item: ((item: OtlpRecord) => boolean) | undefined;
}

/** Which arguments a signal has no use for, and of which it needs one. */
const SIGNALS: Readonly<
  Record<
    OtlpKind,
    { readonly item: string; readonly useless: readonly Argument[]; readonly needed: readonly Argument[] }
  >
> = {
  traces: {
    item: "spans",
    useless: ["log_bodies", "log_severity_texts", "log_severity", "metric_names"],
    needed: ["services", "span_names", "span_kinds", "attribute", "resource", "library"],
  },
  logs: {
    item: "log records",
    useless: ["span_names", "services", "span_kinds", "metric_names"],
    needed: ["log_bodies", "log_severity_texts", "log_severity", "attribute", "resource", "library"],
  },
  metrics: {
    item: "metrics",
    useless: [
      "log_bodies",
      "log_severity_texts",
      "log_severity",
      "span_names",
      "services",
      "span_kinds",
      "attribute",
      "library",
    ],
    needed: ["metric_names", "resource"],
  },
};
type Argument = Exclude<keyof MatchArguments, "match_type" | "regexp">;

function isGiven(given: MatchArguments, argument: Argument): boolean {
  const value = given[argument];
  return Array.isArray(value) ? value.length > 0 : value !== undefined;
}

/** Selects the items of requests that `include` and `exclude` leave. */
export class ItemSelection {
  readonly #include: Matcher | undefined;
  readonly #exclude: Matcher | undefined;

  /** Throws ArgumentError for what cannot be used with this signal. */
  constructor(kind: OtlpKind, include: MatchArguments | undefined, exclude: MatchArguments | undefined) {
    this.#include = compile(kind, include);
    this.#exclude = compile(kind, exclude);
  }

  /** Runs a step on each selected span, log record or metric of a request; `lent` serves one after the other. */
  each(request: OtlpRecord, lent: OtlpRecord, step: (item: OtlpRecord) => void): void {
    this.eachPlace(request, lent, (items, k) => {
      const item = items.borrow(k, lent);
      step(item);
      items.giveBack(k, item);
    });
  }
  /** The same with where the item is, for steps that need no record of it. */
  eachPlace(request: OtlpRecord, lent: OtlpRecord, step: (items: RecordList, k: number) => void): void {
    const { include, exclude } = { include: this.#include, exclude: this.#exclude };
    const resources = resourceGroups(request);
    for (let r = 0; r < resources.length; r++) {
      const resource = resources.at(r);
      if (include?.resource?.(resource) === false) continue;
      const isResourceExcluded = exclude !== undefined && exclude.resource?.(resource) !== false;
      const scopes = members(resource);
      for (let i = 0; i < scopes.length; i++) {
        const scope = scopes.at(i);
        if (include?.scope?.(scope) === false) continue;
        const isScopeExcluded = isResourceExcluded && exclude?.scope?.(scope) !== false;
        // Without conditions on items, all of them go.
        if (isScopeExcluded && exclude?.item === undefined) continue;
        const isWanted = include?.item;
        const isUnwanted = isScopeExcluded ? exclude?.item : undefined;
        const items = members(scope);
        for (let k = 0; k < items.length; k++) {
          if (isWanted !== undefined && !isWanted(items.borrow(k, lent))) continue;
          if (isUnwanted?.(items.borrow(k, lent))) continue;
          step(items, k);
        }
      }
    }
  }
}

/** The blocks of a component's arguments that select. */
export const matchBlocks = {
  include: s.block(matchSchema).doc("What is processed; everything without it."),
  exclude: s.block(matchSchema).doc("What of that is not processed."),
};
type MatchBlocks = InferFields<typeof matchBlocks>;

/** Adds the rules that both blocks fit the signals that the arguments have a use for. */
export function withMatchRules<A extends MatchBlocks>(
  schema: BodySchema<A>,
  kindsOf: (given: A) => readonly OtlpKind[],
): BodySchema<A> {
  const blocks = ["include", "exclude"] as const;
  return schema.refuse((given) => {
    const compileAll = (block: (typeof blocks)[number]) => {
      for (const kind of kindsOf(given)) within(block, () => compile(kind, given[block]));
    };
    return faultsOf(blocks.map((block) => () => compileAll(block)));
  });
}

/** Throws ArgumentError. */
function compile(kind: OtlpKind, given: MatchArguments | undefined): Matcher | undefined {
  if (given === undefined) return undefined;
  const { item, useless, needed } = SIGNALS[kind];
  const wrong = useless.find((argument) => isGiven(given, argument));
  if (wrong !== undefined) {
    throw new ArgumentError(
      `is something that ${item} do not have: leave it out, or send ${kind} through a component of their own`,
      wrong,
    );
  }
  if (!needed.some((argument) => isGiven(given, argument))) {
    const list = needed.map((argument) => `\`${argument}\``).join(", ");
    throw new ArgumentError(`selects no ${item}: give at least one of ${list}, or leave out the block`);
  }
  switch (kind) {
    case "traces":
      return spanMatcher(given);
    case "logs":
      return logMatcher(given);
    case "metrics":
      return metricMatcher(given);
  }
}

/** Upstream accepts `resource` and does not look at it. */
function metricMatcher(given: MatchArguments): Matcher | undefined {
  const item = fieldTest(given, "metric_names", METRIC.name);
  return item && { resource: undefined, scope: undefined, item };
}

function spanMatcher(given: MatchArguments): Matcher {
  const unknown = given.span_kinds.findIndex((kind) => SPAN_KINDS.indexOf(kind) < 1);
  if (given.match_type === "strict" && unknown >= 0) {
    throw new ArgumentError(
      `is the unknown span kind ${JSON.stringify(given.span_kinds[unknown])}; there are ${SPAN_KINDS.slice(1).join(", ")}`,
      `span_kinds[${unknown}]`,
    );
  }
  const isService = listTest(given, "services");
  const isKind = listTest(given, "span_kinds");
  const kinds = SPAN_KINDS.map((name) => isKind?.(name) ?? true);
  const isOtherKind = isKind?.("") ?? true;
  return {
    resource: all([isService && ((group) => isService(serviceName(resourceAttributes(group)))), resourceTest(given)]),
    scope: scopeTest(given),
    item: all([
      fieldTest(given, "span_names", SPAN.name),
      isKind && ((span) => kinds[span.int32(SPAN.kind)] ?? isOtherKind),
      itemAttributesTest(given, SPAN.attributes),
    ]),
  };
}

function logMatcher(given: MatchArguments): Matcher {
  const isBody = listTest(given, "log_bodies");
  const severity = given.log_severity;
  const least = severity === undefined ? 0 : SEVERITIES.indexOf(severity.min) + 1;
  return {
    resource: resourceTest(given),
    scope: scopeTest(given),
    item: all([
      isBody && ((log) => isBody(attributeText(log.any(LOG.body).value))),
      fieldTest(given, "log_severity_texts", LOG.severityText),
      severity &&
        ((log) => {
          const number = log.int32(LOG.severityNumber);
          return number === 0 ? severity.match_undefined : number >= least;
        }),
      itemAttributesTest(given, LOG.attributes),
    ]),
  };
}

type RecordTest = (record: OtlpRecord) => boolean;

/** Whether all tests hold; undefined for none. */
function all(tests: readonly (RecordTest | undefined)[]): RecordTest | undefined {
  const given = tests.filter((test) => test !== undefined);
  if (given.length <= 1) return given[0];
  return (record) => {
    for (const test of given) if (!test(record)) return false;
    return true;
  };
}

function fieldTest(given: MatchArguments, argument: TextsArgument, field: number): RecordTest | undefined {
  const test = listTest(given, argument);
  return test && ((record) => test(record.text(field)));
}
function itemAttributesTest(given: MatchArguments, field: number): RecordTest | undefined {
  const test = attributesTest(given, "attribute");
  return test && ((record) => test(record.map(field)));
}
function resourceTest(given: MatchArguments): RecordTest | undefined {
  const test = attributesTest(given, "resource");
  return test && ((group) => test(resourceAttributes(group)));
}
function scopeTest(given: MatchArguments): RecordTest | undefined {
  const tests = given.library.map(({ name, version }, i) => ({
    name: within(`library[${i}].name`, () => textTest(given, name)),
    version: version === undefined ? undefined : within(`library[${i}].version`, () => textTest(given, version)),
  }));
  if (tests.length === 0) return undefined;
  return (group) => {
    const scope = group.record(GROUP.scope);
    const [name, version] = [scope.text(SCOPE.name), scope.text(SCOPE.version)];
    return tests.every((each) => each.name(name) && (each.version?.(version) ?? true));
  };
}

type TextsArgument = { [K in Argument]: MatchArguments[K] extends readonly string[] ? K : never }[Argument];
/** Whether a text is one of an argument's, or matches one of them; undefined for none. */
function listTest(given: MatchArguments, argument: TextsArgument): TextTest | undefined {
  const wanted = given[argument];
  if (wanted.length === 0) return undefined;
  if (wanted.length === 1) return within(`${argument}[0]`, () => textTest(given, wanted[0]!));
  const known = new Set(wanted);
  if (given.match_type === "strict") return (text) => known.has(text);
  const expressions = Array.from(known, (source) =>
    within(`${argument}[${wanted.indexOf(source)}]`, () => regexArgument(source)),
  );
  return (text) => expressions.some((each) => each.test(text));
}
/** Whether a text is this one, or matches it. */
function textTest(given: MatchArguments, wanted: string): TextTest {
  if (given.match_type === "strict") return (text) => text === wanted;
  const expression = regexArgument(wanted);
  return (text) => expression.test(text);
}
/** Whether there are all of these attributes; undefined for none. */
function attributesTest(given: MatchArguments, argument: "attribute" | "resource"): AttributesTest | undefined {
  const wanted = given[argument];
  if (wanted.length === 0) return undefined;
  const tests = wanted.map((each, i) => within(`${argument}[${i}]`, () => attributeTest(given, each)));
  const only = tests[0]!;
  if (tests.length === 1) return only;
  return (attributes) => {
    for (const test of tests) if (!test(attributes)) return false;
    return true;
  };
}
function attributeTest(given: MatchArguments, wanted: MatchArguments["attribute"][number]): AttributesTest {
  if (wanted.key === "") throw new ArgumentError("is empty", "key");
  const key = new AttributeKey(wanted.key);
  const written = wanted.value;
  const value = written === undefined ? undefined : within("value", () => valueFromConfig(written));
  if (value === undefined) return (attributes) => attributes.has(key);
  if (given.match_type === "regexp") {
    if (typeof value !== "string") {
      throw new ArgumentError('is no text: with `match_type = "regexp"` it must be one, such as "^1$"', "value");
    }
    const test = within("value", () => textTest(given, value));
    return (attributes) => {
      const i = attributes.find(key);
      if (i < 0) return false;
      const text = scalarText(attributes.valueAt(i));
      return text !== undefined && test(text);
    };
  }
  if (typeof value === "string") {
    const text = new AttributeKey(value);
    return (attributes) => {
      const i = attributes.find(key);
      return i >= 0 && attributes.textIs(i, text);
    };
  }
  return (attributes) => {
    const i = attributes.find(key);
    return i >= 0 && same(attributes.valueAt(i), value);
  };
}

/** A text, number or bool as text; undefined for other values, which no expression matches. */
export function scalarText(value: AnyValue): string | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      return formatFloat(value);
    case "bigint":
    case "boolean":
      return String(value);
  }
  return undefined;
}

function resourceAttributes(group: OtlpRecord): KeyValues {
  return group.record(GROUP.resource).map(RESOURCE.attributes);
}
const SERVICE_NAME = new AttributeKey("service.name");
function serviceName(attributes: KeyValues): string {
  const i = attributes.find(SERVICE_NAME);
  return i < 0 ? NO_SERVICE : attributeText(attributes.valueAt(i));
}
