/**
 * The shapes of this agent's web API beyond Alloy's, below `/api/v0/web/`. The page imports these types, and `docs/api.md`
 * says what the paths are for. Times are ISO 8601 texts in UTC unless a name ends in `Ms`.
 */

/** Values as Alloy's web API writes them. */
export type AlloyJsonValue =
  | { readonly type: "null"; readonly value: null }
  | { readonly type: "number"; readonly value: number }
  | { readonly type: "string" | "function" | "capsule"; readonly value: string }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "array"; readonly value: readonly AlloyJsonValue[] }
  | { readonly type: "object"; readonly value: readonly { readonly key: string; readonly value: AlloyJsonValue }[] };

export type AlloyJsonStatement =
  | { readonly name: string; readonly type: "attr"; readonly value: AlloyJsonValue }
  | {
      readonly name: string;
      readonly type: "block";
      readonly label?: string;
      readonly body: readonly AlloyJsonStatement[];
    };

export type FlowState = "ok" | "idle" | "degraded" | "failing";
export type Signal = "logs" | "metrics" | "otlp" | "profiles";

export interface HealthJson {
  readonly state: "healthy" | "unhealthy" | "unknown" | "exited";
  readonly message: string;
  readonly updatedTime: string;
}

export interface CountsJson {
  readonly signal: Signal | null;
  readonly items: number;
  readonly bytes: number;
  readonly last: string | null;
}

export interface EdgeJson extends CountsJson {
  /** The id of the consumer's component. */
  readonly to: string;
  /** Over the last half minute or so. */
  readonly itemsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly dropped: number;
  /** Items handed over and not accepted yet, and since when some have been waiting. */
  readonly waiting: number;
  readonly waitingSince: string | null;
  readonly lastError: ErrorJson | null;
}

export interface ErrorJson {
  readonly time: string;
  readonly message: string;
}

export interface FlowJson {
  readonly state: FlowState;
  readonly cause: string;
  /** The rule that says so; empty for what an event said. */
  readonly rule: string;
  readonly since: string;
  readonly lastSuccess: string | null;
  readonly lastError: ErrorJson | null;
  readonly received: CountsJson;
  readonly sent: readonly EdgeJson[];
  readonly dropped: readonly { readonly signal: Signal; readonly reason: string; readonly items: number }[];
  readonly queue: {
    readonly bytes: number;
    readonly oldest: string | null;
    readonly limitBytes: number | null;
    /** Seconds until the queue is full at the pace of the last minutes; null if it does not grow. */
    readonly fullInSeconds: number | null;
  } | null;
  /** What a source has read and nobody has made safe yet. */
  readonly unacknowledged: { readonly items: number; readonly bytes: number; readonly oldest: string | null };
  /** Per second over the last half minute or so. */
  readonly rates: RatesJson;
}

export interface RatesJson {
  readonly received: number;
  readonly sent: number;
  readonly sentBytes: number;
  readonly dropped: number;
}

/** One component in `GET status`. */
export interface ComponentStatusJson {
  /** Unique in the agent: `mod.a/loki.write.default`. */
  readonly id: string;
  readonly name: string;
  readonly label: string;
  readonly moduleId: string;
  readonly health: HealthJson;
  readonly flow: FlowJson;
  /** What is wrong with the wiring: nothing feeds it, nothing reads it, it forwards to nothing. */
  readonly wiring: string;
}

/** `GET status`. */
export interface StatusJson {
  readonly version: string;
  readonly ready: boolean;
  readonly now: string;
  readonly started: string;
  readonly liveDebugging: boolean;
  /** The worst state of all components. */
  readonly worst: FlowState;
  readonly config: { readonly path: string; readonly hash: string };
  readonly lastReload: ReloadJson | null;
  /** The last load that failed, if none has succeeded since. */
  readonly failedReload: FailedReloadJson | null;
  readonly components: readonly ComponentStatusJson[];
}

export interface ReloadJson {
  readonly time: string;
  readonly added: readonly string[];
  readonly updated: readonly string[];
  readonly restarted: readonly string[];
  readonly removed: readonly string[];
  /** A unified diff of the configuration's text with secrets hidden; empty for the first load. */
  readonly diff: string;
}

export interface FailedReloadJson {
  readonly time: string;
  /** Diagnostics as the command line prints them, with secrets hidden. */
  readonly error: string;
}

/** `GET pipeline?module=ID`: what the graph shows. */
export interface PipelineJson {
  readonly moduleId: string;
  readonly nodes: readonly PipelineNodeJson[];
  readonly edges: readonly PipelineEdgeJson[];
}

export type NodeKind = "component" | "custom" | "foreach" | "import" | "declare" | "argument" | "export" | "config";

export interface PipelineNodeJson {
  /** Unique in the agent. */
  readonly id: string;
  readonly localId: string;
  readonly name: string;
  readonly label: string;
  readonly kind: NodeKind;
  /** `source`: nothing can feed it; `sink`: it hands nothing on; `value`: it only exports values such as targets. */
  readonly role: "source" | "processor" | "sink" | "value" | "module" | "config";
  readonly health: HealthJson;
  /** Worst of what runs inside for modules; null for what has no flow. */
  readonly state: FlowState | null;
  readonly cause: string;
  readonly rates: RatesJson | null;
  /** What is wrong with the wiring: nothing feeds it, nothing reads it, it forwards to nothing. */
  readonly wiring: string;
  /** Modules that open: ids for `?module=`. */
  readonly modules: readonly string[];
}

export interface PipelineEdgeJson {
  /** Ids of nodes, along the direction in which data flows. */
  readonly from: string;
  readonly to: string;
  /** `data`: batches flow; `targets`: values of discovery and exporters; `reference`: any other value. */
  readonly kind: "data" | "targets" | "reference";
  readonly signal: Signal | null;
  readonly itemsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly items: number;
  readonly dropped: number;
  readonly waiting: number;
}

/** `GET explain/ID`: one node with where its values come from. */
export interface ExplainJson {
  readonly id: string;
  readonly localId: string;
  readonly moduleId: string;
  readonly name: string;
  readonly label: string;
  readonly kind: NodeKind;
  readonly health: HealthJson;
  readonly flow: FlowJson | null;
  readonly source: {
    readonly file: string;
    readonly line: number;
    readonly text: string;
  };
  readonly arguments: readonly ArgumentJson[];
  readonly exports: readonly AlloyJsonStatement[];
  readonly debugInfo: readonly AlloyJsonStatement[];
  readonly referencesTo: readonly string[];
  readonly referencedBy: readonly string[];
  readonly modules: readonly string[];
  /** The component's own series among the agent's metrics. */
  readonly metrics: readonly { readonly name: string; readonly labels: string; readonly value: number }[];
  readonly wiring: string;
}

/** An argument as it was evaluated. */
export interface ArgumentJson {
  /** `endpoint[0].url` */
  readonly path: string;
  /** In the configuration language, secrets hidden. */
  readonly value: string;
  /** `default` for what the configuration does not say. */
  readonly origin: "text" | "default";
  /** The expression, secrets hidden; empty for defaults. */
  readonly expression: string;
  /** 1-based; 0 for defaults. */
  readonly line: number;
  /** Ids of nodes that the expression refers to. */
  readonly references: readonly string[];
}

/** `GET history/ID`: a component's flow over the last minutes, oldest first; one array for each column. */
export interface HistoryJson {
  readonly stepSeconds: number;
  readonly endMs: number;
  /** Items per second. */
  readonly received: readonly number[];
  readonly sent: readonly number[];
  readonly dropped: readonly number[];
  readonly sentBytes: readonly number[];
  readonly queueBytes: readonly number[];
}

/** One line of `GET live?...`, newline-delimited JSON. */
export type LiveEvent =
  | {
      readonly event: "item";
      readonly time: string;
      /** The id of the component that was watched. */
      readonly component: string;
      readonly direction: "in" | "out";
      /** The id of the consumer's component for `out`; empty for `in`. */
      readonly peer: string;
      readonly item: LiveItem;
    }
  | { readonly event: "trace"; readonly time: string; readonly component: string; readonly trace: TraceJson }
  /** Once a second while something passes: what passed and how much of it was looked at. */
  | {
      readonly event: "passed";
      readonly time: string;
      readonly items: number;
      readonly looked: number;
      readonly shown: number;
    };

export type Pairs = Readonly<Record<string, string>>;

export type LiveItem =
  | {
      readonly type: "log";
      readonly timestamp: string;
      readonly line: string;
      readonly labels: Pairs;
      readonly metadata: Pairs;
    }
  | {
      readonly type: "sample";
      readonly timestamp: string;
      readonly labels: Pairs;
      /** A number as text, since JSON knows no NaN; `stale` for a stale marker; a histogram as `count=… sum=…`. */
      readonly value: string;
    }
  | {
      readonly type: "span";
      readonly timestamp: string;
      readonly name: string;
      readonly traceId: string;
      readonly spanId: string;
      readonly parentId: string;
      readonly kind: string;
      readonly durationMs: number;
      readonly status: string;
      readonly attributes: Pairs;
      readonly resource: Pairs;
      readonly scope: string;
    }
  | {
      readonly type: "datapoint";
      readonly timestamp: string;
      readonly name: string;
      readonly kind: string;
      readonly value: string;
      readonly attributes: Pairs;
      readonly resource: Pairs;
      readonly scope: string;
    }
  | {
      readonly type: "logrecord";
      readonly timestamp: string;
      readonly severity: string;
      readonly body: string;
      readonly traceId: string;
      readonly spanId: string;
      readonly attributes: Pairs;
      readonly resource: Pairs;
      readonly scope: string;
    }
  | { readonly type: "profile"; readonly labels: Pairs; readonly bytes: number }
  | { readonly type: "exports"; readonly exports: readonly AlloyJsonStatement[] };

export interface EntryStateJson {
  readonly line: string;
  readonly labels: Pairs;
  readonly metadata: Pairs;
  readonly timestamp: string;
  readonly extracted: Readonly<Record<string, string | number | boolean | null>>;
}

export interface TraceJson {
  readonly before: EntryStateJson;
  readonly steps: readonly {
    readonly stage: string;
    readonly outcome: "passed" | "dropped" | "kept";
    readonly reason: string;
    /** Null for what was dropped or kept. */
    readonly after: EntryStateJson | null;
  }[];
  readonly outcome: "passed" | "dropped" | "kept";
}

/** `POST pipe?component=ID`: what a copy of a component makes of what is fed to it. */
export interface PipeJson {
  readonly component: string;
  readonly signal: "logs" | "metrics";
  /** Entries or samples that were fed, … */
  readonly received: number;
  /** … and that came out. */
  readonly sent: number;
  /** Items by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** What came out of a component that takes logs; with `trace=true` the ways of all entries, dropped ones included. */
  readonly entries: readonly PipeEntryJson[];
  /** The same for a component that takes metrics. */
  readonly samples: readonly PipeSampleJson[];
}

export interface PipeEntryJson {
  /** The entry as it came in, or as a stage put it together; null without `trace=true`. */
  readonly before: EntryStateJson | null;
  /** One for each stage; a single one, named after the component, for components without stages. */
  readonly steps: TraceJson["steps"];
  readonly outcome: TraceJson["outcome"];
  /** The entry as it came out; null for what was dropped or kept. */
  readonly after: EntryStateJson | null;
}

export interface PipeSampleJson {
  readonly before: PipedSampleJson | null;
  readonly outcome: TraceJson["outcome"];
  readonly reason: string;
  readonly after: PipedSampleJson | null;
}

export interface PipedSampleJson {
  readonly timestamp: string;
  readonly labels: Pairs;
  /** A number as text, since JSON knows no NaN; `stale` for a stale marker. */
  readonly value: string;
}
