import { counter, gauge, type Page } from "#kits/exporter/page";
import type { EventKind } from "./line.ts";

const EVENTS = counter("statsd_exporter_events_total", "The total number of StatsD events seen.", "type");
const FLUSHED = counter("statsd_exporter_event_queue_flushed_total", "Number of times events were flushed to exporter");
const UNMAPPED = counter(
  "statsd_exporter_events_unmapped_total",
  "The total number of StatsD events no mapping was found for.",
);
const UDP = counter("statsd_exporter_udp_packets_total", "The total number of StatsD packets received over UDP.");
const TCP = counter("statsd_exporter_tcp_connections_total", "The total number of TCP connections handled.");
const TCP_ERRORS = counter(
  "statsd_exporter_tcp_connection_errors_total",
  "The number of errors encountered reading from TCP.",
);
const LONG_LINES = counter(
  "statsd_exporter_tcp_too_long_lines_total",
  "The number of lines discarded due to being too long.",
);
const UNIXGRAM = counter(
  "statsd_exporter_unixgram_packets_total",
  "The total number of StatsD packets received over Unixgram.",
);
const LINES = counter("statsd_exporter_lines_total", "The total number of StatsD lines received.");
const SAMPLES = counter("statsd_exporter_samples_total", "The total number of StatsD samples received.");
const SAMPLE_ERRORS = counter(
  "statsd_exporter_sample_errors_total",
  "The total number of errors parsing StatsD samples.",
  "reason",
);
const TAGS = counter("statsd_exporter_tags_total", "The total number of DogStatsD tags processed.");
const TAG_ERRORS = counter("statsd_exporter_tag_errors_total", "The number of errors parsing DogStatsD tags.");
const MAPPINGS = gauge("statsd_exporter_loaded_mappings", "The current number of configured metric mappings.");
const CONFLICTS = counter(
  "statsd_exporter_events_conflict_total",
  "The total number of StatsD events with conflicting names.",
  "type",
);
const EVENT_ERRORS = counter(
  "statsd_exporter_events_error_total",
  "The total number of StatsD events discarded due to errors.",
  "reason",
);
const ACTIONS = counter(
  "statsd_exporter_events_actions_total",
  "The total number of StatsD events by action.",
  "action",
);
const METRICS = gauge("statsd_exporter_metrics_total", "The total number of metrics.", "type");
const CACHE_LENGTH = gauge("statsd_metric_mapper_cache_length", "The count of unique metrics currently cached.");
const CACHE_GETS = counter("statsd_metric_mapper_cache_gets_total", "The count of total metric cache gets.");
const CACHE_HITS = counter("statsd_metric_mapper_cache_hits_total", "The count of total metric cache hits.");
const RELAYED_PACKETS = counter(
  "statsd_exporter_relay_packets_total",
  "The number of StatsD packets relayed.",
  "target",
);
const RELAY_LONG = counter(
  "statsd_exporter_relay_long_lines_total",
  "The number lines that were too long to relay.",
  "target",
);
const RELAYED_LINES = counter(
  "statsd_exporter_relay_lines_relayed_total",
  "The number of lines that were buffered to be relayed.",
  "target",
);

/** Names that begin so are the exporter's own. */
export const OWN_NAMES = /^statsd_(?:exporter|metric_mapper_cache)_/;

/** What the exporter tells of itself, under statsd_exporter's names. */
export class Statistics {
  flushed = 0;
  unmapped = 0;
  udpPackets = 0;
  tcpConnections = 0;
  tcpErrors = 0;
  longLines = 0;
  unixgramPackets = 0;
  lines = 0;
  samples = 0;
  tags = 0;
  tagErrors = 0;
  mappings = 0;
  relay: { readonly target: string; packets: number; longLines: number; lines: number } | undefined;
  cache: { readonly length: number; readonly gets: number; readonly hits: number } | undefined;
  readonly #events = new Map<string, number>();
  readonly #sampleErrors = new Map<string, number>();
  readonly #conflicts = new Map<string, number>();
  readonly #eventErrors = new Map<string, number>();
  readonly #actions = new Map<string, number>();
  readonly #metrics = new Map<string, number>();
  readonly #onError: (reason: string, line: string) => void;

  /** `onError` hears of what is wrong with lines and events. */
  constructor(onError: (reason: string, text: string) => void) {
    this.#onError = onError;
  }

  event(kind: EventKind, times: number): void {
    add(this.#events, kind, times);
  }
  sampleError(reason: string, line: string): void {
    add(this.#sampleErrors, reason, 1);
    this.#onError(reason, line);
  }
  eventError(reason: string, name: string, times: number): void {
    add(this.#eventErrors, reason, times);
    this.#onError(reason, name);
  }
  conflict(kind: EventKind, name: string, times: number): void {
    add(this.#conflicts, kind, times);
    this.#onError("conflict", name);
  }
  action(action: "map" | "drop", times: number): void {
    add(this.#actions, action, times);
  }
  metric(type: string): void {
    add(this.#metrics, type, 1);
  }

  addTo(page: Page): void {
    for (const [metric, counts] of [
      [EVENTS, this.#events],
      [SAMPLE_ERRORS, this.#sampleErrors],
      [CONFLICTS, this.#conflicts],
      [EVENT_ERRORS, this.#eventErrors],
      [ACTIONS, this.#actions],
      [METRICS, this.#metrics],
    ] as const) {
      for (const [label, count] of counts) page.add(metric, count, label);
    }
    page.add(FLUSHED, this.flushed);
    page.add(UNMAPPED, this.unmapped);
    page.add(UDP, this.udpPackets);
    page.add(TCP, this.tcpConnections);
    page.add(TCP_ERRORS, this.tcpErrors);
    page.add(LONG_LINES, this.longLines);
    page.add(UNIXGRAM, this.unixgramPackets);
    page.add(LINES, this.lines);
    page.add(SAMPLES, this.samples);
    page.add(TAGS, this.tags);
    page.add(TAG_ERRORS, this.tagErrors);
    page.add(MAPPINGS, this.mappings);
    if (this.cache !== undefined) {
      page.add(CACHE_LENGTH, this.cache.length);
      page.add(CACHE_GETS, this.cache.gets);
      page.add(CACHE_HITS, this.cache.hits);
    }
    if (this.relay === undefined) return;
    page.add(RELAYED_PACKETS, this.relay.packets, this.relay.target);
    page.add(RELAY_LONG, this.relay.longLines, this.relay.target);
    page.add(RELAYED_LINES, this.relay.lines, this.relay.target);
  }
}

function add(counts: Map<string, number>, label: string, count: number): void {
  counts.set(label, (counts.get(label) ?? 0) + count);
}
