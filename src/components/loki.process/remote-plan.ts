import type { Labels } from "#base/labels";
import { Regex } from "#base/regex";
import { isLabelName } from "./stage.ts";
import type { StageConfig } from "./stages.ts";

/** Whether and how the batches of a pipeline may be worked on by several threads at once. */
export type RemotePlan =
  /** Any thread can take any batch. */
  | { readonly kind: "any" }
  /** Some stage remembers what it saw of a stream: label sets with the same key have to go to the same thread. */
  | { readonly kind: "by_stream"; key(labels: Labels): string; readonly keepsEntries: boolean }
  /** The whole pipeline has to stay in one thread, because of this stage. */
  | { readonly kind: "none"; readonly because: string };

/** Which labels a stage may set, change or remove. */
type Touches = (config: StageConfig) => readonly string[] | "all";

interface Traits {
  /** Why it cannot work in several threads. */
  readonly alone?: string;
  /** Whether it remembers something for each stream, by the labels that entries have when they come to it. */
  readonly remembers?: (config: StageConfig) => boolean;
  /** Whether it holds entries back. */
  readonly keeps?: true;
  readonly touches?: Touches;
}

const NO_STATE: Traits = {};
const touching = <K extends StageConfig["kind"]>(
  names: (args: Extract<StageConfig, { kind: K }>["args"]) => readonly string[] | "all",
): Traits => ({ touches: (config) => names(config.args as never) });

const TRAITS: Readonly<Record<StageConfig["kind"], Traits>> = {
  // A partial line waits for its rest under the labels that the stage itself sets.
  cri: { remembers: () => true, keeps: true, touches: () => ["stream"] },
  decolorize: NO_STATE,
  docker: touching(() => ["stream"]),
  drop: NO_STATE,
  eventlogmessage: NO_STATE,
  geoip: { alone: "each thread would read the whole database into memory" },
  json: NO_STATE,
  label_keep: touching<"label_keep">(() => "all"),
  label_drop: touching<"label_drop">((args) => args.values),
  labels: touching<"labels">((args) => [...args.values.keys()]),
  limit: { alone: "its rate is one for all entries" },
  logfmt: NO_STATE,
  luhn: NO_STATE,
  match: NO_STATE,
  metrics: { alone: "its metrics are those of all entries" },
  multiline: { remembers: () => true, keeps: true },
  output: NO_STATE,
  pack: touching<"pack">((args) => args.labels),
  pattern: touching<"pattern">((args) => (args.labels_from_groups ? "all" : [])),
  regex: touching<"regex">((args) =>
    args.labels_from_groups ? args.expression.groupNames.filter((name) => isLabelName(name)) : [],
  ),
  replace: NO_STATE,
  split_json: NO_STATE,
  static_labels: touching<"static_labels">((args) => [...args.values.keys()]),
  structured_metadata: touching<"structured_metadata">((args) =>
    args.regex.source === "" ? [...args.values].map(([name, from]) => (from === "" ? name : from)) : "all",
  ),
  structured_metadata_drop: NO_STATE,
  sampling: NO_STATE,
  template: NO_STATE,
  tenant: touching<"tenant">(() => ["__tenant_id__"]),
  truncate: touching<"truncate">((args) => {
    const sources = args.rule.filter((rule) => rule.source_type === "label").map((rule) => rule.sources ?? []);
    return sources.some((names) => names.length === 0) ? "all" : sources.flat();
  }),
  timestamp: {
    remembers: (config) =>
      config.kind === "timestamp" &&
      (config.args.action_on_failure === "fudge" || config.args.action_on_duplicate_timestamp === "fudge"),
  },
  windowsevent: NO_STATE,
};

/**
 * Finds out what keeps a pipeline's batches together. Where a stage remembers streams, the labels that no stage before it
 * touches tell entries apart that it tells apart: two that differ in them can never have the same labels there.
 */
export function planOf(stages: readonly StageConfig[]): RemotePlan {
  let alone: string | undefined;
  let keepsEntries = false;
  let all = false;
  const touched = new Set<string>();
  /** What was touched before the last stage that remembers. */
  let before: { readonly all: boolean; readonly names: ReadonlySet<string> } | undefined;

  const walk = (configs: readonly StageConfig[], prefix: string) => {
    for (const [index, config] of configs.entries()) {
      const traits = TRAITS[config.kind];
      if (traits.alone !== undefined) alone ??= `stage ${prefix}${index}.${config.kind}: ${traits.alone}`;
      const names = traits.touches?.(config) ?? [];
      if (names === "all") all = true;
      else for (const name of names) touched.add(name);
      if (traits.remembers?.(config) === true) before = { all, names: new Set(touched) };
      if (traits.keeps) keepsEntries = true;
      if (config.kind === "match") walk(config.args.stage, `${prefix}${index}.match.`);
    }
  };
  walk(stages, "");
  if (alone !== undefined) return { kind: "none", because: alone };
  if (before === undefined) return { kind: "any" };
  const { all: none, names } = before;
  return {
    kind: "by_stream",
    keepsEntries,
    key: (labels) => (none ? "" : labels.filter((name) => !names.has(name)).toString()),
  };
}

const REGEX = "$regex";

/** Evaluated arguments as plain values that can be sent to a thread; `unpackStages` makes them what they were. */
export function packStages(stages: readonly StageConfig[]): unknown {
  return packed(stages);
}

function packed(value: unknown): unknown {
  if (value instanceof Regex) return { [REGEX]: value.source };
  if (value instanceof Map) return new Map([...value].map(([name, each]) => [name, packed(each)]));
  if (Array.isArray(value)) return value.map(packed);
  if (typeof value !== "object" || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new Error("an argument is no plain value");
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, packed(each)]));
}

export function unpackStages(value: unknown, compile: (source: string) => Regex): readonly StageConfig[] {
  const unpacked = (each: unknown): unknown => {
    if (each instanceof Map) return new Map([...each].map(([name, inner]) => [name, unpacked(inner)]));
    if (Array.isArray(each)) return each.map(unpacked);
    if (typeof each !== "object" || each === null) return each;
    if (REGEX in each) return compile(each[REGEX] as string);
    return Object.fromEntries(Object.entries(each).map(([name, inner]) => [name, unpacked(inner)]));
  };
  return unpacked(value) as readonly StageConfig[];
}
