import { LogStore } from "./log-store.ts";
import { SeriesStore } from "./series-store.ts";
import { TraceStore } from "./trace-store.ts";

/** What the viewer remembers. Each signal has a share of the memory of its own, so that none starves the others. */
export class Stores {
  readonly logs: LogStore;
  readonly series: SeriesStore;
  readonly traces: TraceStore;

  constructor(maxBytes: number) {
    this.logs = new LogStore(maxBytes * 0.5);
    this.series = new SeriesStore(maxBytes * 0.3);
    this.traces = new TraceStore(maxBytes * 0.2);
  }

  get bytes(): number {
    return this.logs.bytes + this.series.bytes + this.traces.bytes;
  }

  /** Forgets what arrived before `time` (epoch ms). */
  expire(time: number): void {
    this.logs.expire(time);
    this.series.expire(time);
    this.traces.expire(time);
  }
}
