import { Labels } from "#base/labels";
import { NewSeries } from "#kits/new-series";
import { judgeMisplacedLabels } from "#kits/relabel-suspects";
import { defaultsOf } from "#lang/decode";
import { s } from "#lang/schema";
import type { MetricBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import type { QueueInput } from "#pipeline/disk-queue";
import { fullestQueue } from "#pipeline/flow";
import {
  type EndpointArguments,
  endpointNames,
  metadataSchema,
  type QueueArguments,
  queueSchema,
  type RemoteWriteArguments,
  remoteWriteArguments,
} from "./arguments.ts";
import { Endpoint, QUEUE_BYTES, queueFolder } from "./endpoint.ts";
import { ENDPOINT_RULES, judgeEndpoints } from "./endpoint-status.ts";
import { type FragmentCounts, FragmentEncoder, type FragmentSettings } from "./fragments.ts";
import { removeLeftOvers } from "./left-overs.ts";
import { MetadataStore, sendMetadata } from "./metadata.ts";
import { remoteWriteMetrics } from "./metrics.ts";
import { SeriesCount } from "./series-count.ts";

const SHARD_UPDATE_MS = 10_000;
const SWEEP_MS = 600_000;
/** In the beginning all series are new. */
const FIRST_SERIES_MS = 300_000;

/** Endpoints whose fragments are the same. */
interface Group {
  readonly key: string;
  readonly encoder: FragmentEncoder;
  readonly endpoints: readonly Endpoint[];
}

export default defineComponent({
  name: "prometheus.remote_write",
  stability: "generally-available",
  summary: "Sends samples to Prometheus, Mimir and others by remote write, through a queue on disk.",
  example: `prometheus.remote_write "example" {
  endpoint {
    url = "http://127.0.0.1:9090/api/v1/write"
  }
}`,
  args: remoteWriteArguments,
  exports: s.object({ receiver: s.consumer("metrics").doc("Takes samples to send.") }),
  metrics: remoteWriteMetrics,

  start(ctx, args) {
    const { series } = ctx.services;
    const endpoints = new Map<string, Endpoint>();
    const metadata = new MetadataStore();
    const newSeries = new NewSeries(() => ctx.clock.monotonic(), FIRST_SERIES_MS);
    const seriesCount = ctx.stack.use(new SeriesCount(series, ctx.metrics, newSeries));
    let groups: readonly Group[] = [];
    let current = args;
    const stopping: Promise<unknown>[] = [];

    for (const rule of ENDPOINT_RULES) {
      ctx.rule(rule, () =>
        judgeEndpoints(
          [...endpoints.values()].map(({ status }) => status),
          rule,
        ),
      );
    }
    ctx.rule("high_cardinality", () => newSeries.judge());
    ctx.rule("misplaced_label", () => {
      const found = current.endpoint.map((each) =>
        judgeMisplacedLabels(each.write_relabel_config, "samples", "write_relabel_config"),
      );
      return found.find((each) => each !== undefined);
    });
    ctx.queue(() =>
      fullestQueue(
        [...endpoints.values()].map((each) => ({ ...each.pending, limitBytes: QUEUE_BYTES, whenFull: "drop" })),
      ),
    );
    ctx.stack.defer(async () => {
      for (const { encoder } of groups) encoder.close();
      await Promise.all([...stopping, ...[...endpoints.values()].map((each) => each.close())]);
    });
    configure(args);
    ctx.export({ receiver: ctx.receiver("metrics", consume, { mutates: false }) });
    ctx.every(SHARD_UPDATE_MS, () => {
      for (const endpoint of endpoints.values()) endpoint.adapt(SHARD_UPDATE_MS / 1000);
      newSeries.show(ctx.metrics.newLabelValues);
    });
    ctx.every(SWEEP_MS, async () => {
      for (const { encoder } of groups) encoder.sweep();
      const inUse = new Set([...endpoints.keys()].map((name) => queueFolder(ctx.dataPath, name)));
      await removeLeftOvers(ctx.dataPath, inUse, current.wal.max_keepalive_time, ctx.clock.now(), ctx.log);
    });

    return {
      async update(next) {
        configure(next);
        await Promise.all(stopping.splice(0));
      },
      async drain(deadline) {
        await Promise.all([...endpoints.values()].map((each) => each.drain(deadline)));
      },
    };

    function configure(next: RemoteWriteArguments): void {
      current = next;
      const names = endpointNames(next.endpoint);
      for (const [name, endpoint] of endpoints) {
        if (names.includes(name)) continue;
        endpoints.delete(name);
        const { items } = endpoint.pending;
        if (items > 0)
          ctx.log.warn("an endpoint was removed before everything was sent to it", { endpoint: endpoint.title, items });
        stopping.push(endpoint.close());
      }
      for (const [index, each] of next.endpoint.entries()) {
        const name = names[index]!;
        const queue = queueArguments(each);
        const known = endpoints.get(name);
        if (known !== undefined) known.configure(each, queue, next.wal.max_keepalive_time);
        else {
          const endpoint = new Endpoint(ctx, ctx.metrics, name, each, queue, next.wal.max_keepalive_time);
          endpoints.set(name, endpoint);
          ctx.run(() => endpoint.run());
          ctx.run((signal) => sendMetadataAgainAndAgain(endpoint, signal));
        }
      }
      regroup(next, names);
      if (endpoints.size === 0) ctx.flow.idle("there is no `endpoint` block: samples are dropped");
    }

    function regroup(next: RemoteWriteArguments, names: readonly string[]): void {
      const externalLabels = Labels.from(next.external_labels ?? new Map());
      const members = new Map<string, { settings: FragmentSettings; endpoints: Endpoint[] }>();
      for (const [index, each] of next.endpoint.entries()) {
        const queue = queueArguments(each);
        const settings: FragmentSettings = {
          externalLabels,
          rules: each.write_relabel_config,
          sendExemplars: each.send_exemplars,
          sendHistograms: each.send_native_histograms,
          maxSamples: queue.max_samples_per_send,
        };
        const key = groupKey(settings, queue);
        const group = members.get(key) ?? { settings, endpoints: [] };
        group.endpoints.push(endpoints.get(names[index]!)!);
        members.set(key, group);
      }
      const old = groups;
      groups = [...members].map(([key, { settings, endpoints: own }]) => {
        const encoder = old.find((each) => each.key === key)?.encoder ?? new FragmentEncoder(series, settings);
        return { key, encoder, endpoints: own };
      });
      for (const { key, encoder } of old) if (!members.has(key)) encoder.close();
    }

    async function consume(batch: MetricBatch, signal: AbortSignal): Promise<void> {
      const { count } = batch;
      seriesCount.add(batch);
      if (batch.metadata !== undefined) ctx.metrics.walMetadata.inc(metadata.add(batch.metadata));
      ctx.metrics.walSamples.inc(count);
      ctx.metrics.walExemplars.inc(batch.exemplars?.length ?? 0);
      ctx.metrics.samplesIn.inc(count);
      ctx.metrics.exemplarsIn.inc(batch.exemplars?.length ?? 0);
      ctx.metrics.histogramsIn.inc(batch.histograms?.length ?? 0);
      if (groups.length === 0) ctx.flow.drop("metrics", "no_endpoint", count);
      let highest = ctx.metrics.highestTimestamp.value;
      for (let i = 0; i < count; i++) if (batch.timestamp[i]! > highest * 1000) highest = batch.timestamp[i]! / 1000;
      ctx.metrics.highestTimestamp.set(highest);

      // All encoding first: it needs the columns as they are now.
      const appends: Promise<void>[] = [];
      for (const { encoder, endpoints: own } of groups) {
        const shards = Math.max(...own.map((each) => each.shards.current));
        const counts: FragmentCounts = {
          relabelled: 0,
          exemplars: 0,
          droppedExemplars: 0,
          histograms: 0,
          droppedHistograms: 0,
        };
        const fragments = encoder.encode(batch, shards, counts);
        for (const endpoint of own) {
          account(endpoint, counts);
          endpoint.shards.received(fragments.reduce((sum, each) => sum + each.items, 0));
          if (fragments.length > 0) appends.push(append(endpoint, fragments, signal));
        }
      }
      await Promise.all(appends);
      batch.acknowledgement.release();
    }

    async function append(endpoint: Endpoint, fragments: readonly QueueInput[], signal: AbortSignal): Promise<void> {
      try {
        await endpoint.append(fragments, signal);
      } catch (error) {
        // An endpoint that was removed meanwhile takes nothing any more, and nobody waits for it.
        if (signal.aborted || endpoints.get(endpoint.name) === endpoint) throw error;
        ctx.flow.drop(
          "metrics",
          "endpoint_removed",
          fragments.reduce((sum, each) => sum + each.items, 0),
        );
      }
    }

    function account(endpoint: Endpoint, counts: FragmentCounts): void {
      const { metrics } = endpoint;
      if (counts.relabelled > 0) {
        metrics.dropped("samples", "dropped_series", counts.relabelled);
        ctx.flow.drop("metrics", "write_relabel_config", counts.relabelled);
      }
      if (counts.droppedExemplars > 0) metrics.dropped("exemplars", "disabled", counts.droppedExemplars);
      if (counts.droppedHistograms > 0) {
        metrics.dropped("histograms", "disabled", counts.droppedHistograms);
        ctx.flow.drop("metrics", "native_histograms_disabled", counts.droppedHistograms);
      }
      metrics.exemplars.inc(counts.exemplars);
      metrics.histograms.inc(counts.histograms);
    }

    async function sendMetadataAgainAndAgain(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
      while (endpoints.get(endpoint.name) === endpoint) {
        const config = endpoint.args.metadata_config ?? defaultsOf(metadataSchema);
        try {
          await ctx.clock.sleep(config.send_interval, signal);
          if (config.send && endpoints.get(endpoint.name) === endpoint && !endpoint.failing) {
            await sendMetadata(ctx, endpoint, metadata, config, queueArguments(endpoint.args), signal);
          }
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
      }
    }
  },
});

function queueArguments(endpoint: EndpointArguments) {
  return endpoint.queue_config ?? defaultsOf(queueSchema);
}

/** Equal for endpoints that can share fragments: the same content, the same choice of numbers of lanes. */
function groupKey(settings: FragmentSettings, { min_shards, max_shards }: QueueArguments): string {
  const rules = settings.rules.map((rule) => ({ ...rule, regex: rule.regex.source }));
  return JSON.stringify({
    ...settings,
    externalLabels: settings.externalLabels.toString(),
    rules,
    min_shards,
    max_shards,
  });
}
