import { Labels } from "#base/labels";
import type { LogLevel } from "#base/log";
import type { EntryTrace } from "#pipeline/tap";

/** What the main thread and a worker tell each other about one pipeline. */

/** The kind of channel under which threads serve pipelines. */
export const PROCESS_CHANNEL = "loki.process";

/** Opens a channel. */
export interface PipelineSetup {
  /** From `packStages`. */
  readonly stages: unknown;
  /** Whether stages hold entries back, so that it matters which. */
  readonly keepsEntries: boolean;
}

/** Label sets by their numbers, and those that are new. */
export interface StreamMessage {
  /** The number of each of the batch's streams. */
  readonly streams: readonly number[];
  /** Label sets (flat) with the next numbers. */
  readonly fresh: readonly (readonly string[])[];
  /** Whether numbers begin anew with these. */
  readonly reset: boolean;
}

export interface BatchTask extends StreamMessage {
  readonly task: number;
  readonly slab: number;
  /** With the first task in a slab. */
  readonly memory: SharedArrayBuffer | undefined;
  /** Slabs that are not used any more. */
  readonly forget: readonly number[];
  readonly count: number;
  readonly capacity: number;
  readonly bytes: number;
  readonly metadata: readonly (readonly string[] | undefined)[] | undefined;
  /** How many entries to trace; undefined where nobody watches. */
  readonly traces: number | undefined;
  readonly samples: readonly number[];
}
export interface FlushTask {
  readonly task: number;
  readonly flush: "due" | "all";
  readonly traces: number | undefined;
}
export type Task = BatchTask | FlushTask;

export interface TaskResult extends StreamMessage {
  readonly task: number;
  readonly count: number;
  /** Bytes of lines in the slab. */
  readonly bytes: number;
  /** The batch, if the slab has no room for it, or if there is no slab. */
  readonly packed: ArrayBuffer | undefined;
  readonly metadata: readonly (readonly string[] | undefined)[] | undefined;
  /** As `HeldChanges`. */
  readonly held: readonly number[];
  readonly freed: readonly number[];
  /** From `takeCounts`. */
  readonly counts: readonly number[] | undefined;
  readonly metrics: readonly MetricChange[];
  readonly logs: readonly LogMessage[];
  readonly traces: readonly EntryTrace[];
  readonly samples: readonly (readonly [number: number, line: string])[];
  /** Why a stage failed, which is a bug; there is no batch then. */
  readonly failed: string | undefined;
}

/** What a counter of the component grew by: its key in PROCESS_METRICS, its label values. */
export type MetricChange = readonly [key: string, values: readonly string[], by: number];
export type LogMessage = readonly [level: LogLevel, message: string, fields: Readonly<Record<string, string>>];

/** Numbers begin anew after so many label sets, so that tables stay small whatever the labels are. */
const MAX_STREAMS = 8_192;

/** Gives label sets numbers for the other side. */
export class StreamNumbers {
  #numbers = new Map<Labels, number>();

  of(streams: readonly Labels[]): StreamMessage {
    const reset = this.#numbers.size + streams.length > MAX_STREAMS && this.#numbers.size > 0;
    if (reset) this.#numbers.clear();
    const numbers: number[] = [];
    const fresh: (readonly string[])[] = [];
    for (const labels of streams) {
      let number = this.#numbers.get(labels);
      if (number === undefined) {
        number = this.#numbers.size;
        this.#numbers.set(labels, number);
        fresh.push(labels.flat);
      }
      numbers.push(number);
    }
    return { streams: numbers, fresh, reset };
  }
}

/** The label sets that the other side has numbered. */
export class StreamTable {
  readonly #table: Labels[] = [];
  readonly #intern: (labels: Labels) => Labels;

  constructor(intern: (labels: Labels) => Labels = (labels) => labels) {
    this.#intern = intern;
  }

  of({ streams, fresh, reset }: StreamMessage): Labels[] {
    if (reset) this.#table.length = 0;
    for (const flat of fresh) this.#table.push(this.#intern(Labels.fromSorted(flat)));
    return streams.map((number) => this.#table[number]!);
  }
}
