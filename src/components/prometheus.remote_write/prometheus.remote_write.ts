import { NewSeries } from "#kits/new-series";
import { judgeMisplacedLabels } from "#kits/relabel-suspects";
import { s } from "#lang/schema";
import type { MetricBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import type { QueueInput } from "#pipeline/disk-queue";
import { fullestQueue } from "#pipeline/flow";
import {
  endpointNames,
  metadataArguments,
  queueArguments,
  type RemoteWriteArguments,
  remoteWriteArguments,
} from "./arguments.ts";
import { Endpoint, QUEUE_BYTES, queueFolder } from "./endpoint.ts";
import { ENDPOINT_RULES, judgeEndpoints } from "./endpoint-status.ts";
import { type FragmentCounts, noCounts } from "./fragments.ts";
import { FragmentGroups } from "./groups.ts";
import { removeLeftOvers } from "./left-overs.ts";
import { MetadataStore, sendMetadata } from "./metadata.ts";
import { remoteWriteMetrics } from "./metrics.ts";
import { SeriesCount } from "./series-count.ts";

const SHARD_UPDATE_MS = 10_000;
const SWEEP_MS = 600_000;
/** In the beginning all series are new. */
const FIRST_SERIES_MS = 300_000;

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
    let current = args;
    const groups = new FragmentGroups(series, metadata, () => ctx.clock.now());
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
      groups.close();
      await Promise.all([...stopping, ...[...endpoints.values()].map((each) => each.close())]);
    });
    configure(args);
    ctx.export({ receiver: ctx.receiver("metrics", consume, { mutates: false }) });
    ctx.every(SHARD_UPDATE_MS, () => {
      for (const endpoint of endpoints.values()) endpoint.adapt(SHARD_UPDATE_MS / 1000);
      groups.adapt(); // an endpoint may be asked again whether it takes version 2
      newSeries.show(ctx.metrics.newLabelValues);
    });
    ctx.every(SWEEP_MS, async () => {
      groups.sweep();
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
          const { max_keepalive_time: maxAge } = next.wal;
          const endpoint = new Endpoint(ctx, ctx.metrics, name, each, queue, maxAge, () => groups.adapt());
          endpoints.set(name, endpoint);
          ctx.run(() => endpoint.run());
          ctx.run((signal) => sendMetadataAgainAndAgain(endpoint, signal));
        }
      }
      groups.configure(
        next.external_labels ?? new Map(),
        names.map((name) => endpoints.get(name)!),
      );
      if (endpoints.size === 0) ctx.flow.idle("there is no `endpoint` block: samples are dropped");
    }

    async function consume(batch: MetricBatch, signal: AbortSignal): Promise<void> {
      const { count } = batch;
      seriesCount.add(batch);
      if (batch.metadata !== undefined) {
        ctx.metrics.walMetadata.inc(batch.metadata.length);
        metadata.add(batch.metadata, (each) => groups.describe(each));
      }
      ctx.metrics.walSamples.inc(count);
      ctx.metrics.walExemplars.inc(batch.exemplars?.length ?? 0);
      ctx.metrics.samplesIn.inc(count);
      ctx.metrics.exemplarsIn.inc(batch.exemplars?.length ?? 0);
      ctx.metrics.histogramsIn.inc(batch.histograms?.length ?? 0);
      if (endpoints.size === 0) ctx.flow.drop("metrics", "no_endpoint", count);
      let highest = ctx.metrics.highestTimestamp.value;
      for (let i = 0; i < count; i++) if (batch.timestamp[i]! > highest * 1000) highest = batch.timestamp[i]! / 1000;
      ctx.metrics.highestTimestamp.set(highest);

      // All encoding first: it needs the columns as they are now.
      const appends: Promise<void>[] = [];
      for (const { encoder, endpoints: own } of groups.all) {
        const shards = Math.max(...own.map((each) => each.shards.current));
        const counts = noCounts();
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
      if (counts.tooOld > 0) {
        metrics.dropped("samples", "too_old", counts.tooOld);
        ctx.flow.drop("metrics", "too_old", counts.tooOld);
      }
      if (counts.droppedExemplars > 0) metrics.dropped("exemplars", "disabled", counts.droppedExemplars);
      if (counts.droppedHistograms > 0) {
        metrics.dropped("histograms", "disabled", counts.droppedHistograms);
        ctx.flow.drop("metrics", "native_histograms_disabled", counts.droppedHistograms);
      }
      if (counts.droppedCustomBuckets > 0) {
        metrics.dropped("histograms", "nhcb_in_rw1_not_supported", counts.droppedCustomBuckets);
        ctx.flow.drop("metrics", "custom_buckets_need_version_2", counts.droppedCustomBuckets);
      }
      metrics.exemplars.inc(counts.exemplars);
      metrics.histograms.inc(counts.histograms);
    }

    async function sendMetadataAgainAndAgain(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
      while (endpoints.get(endpoint.name) === endpoint) {
        const config = metadataArguments(endpoint.args);
        try {
          await ctx.clock.sleep(config.send_interval, signal);
          if (config.send && endpoint.version === 1 && endpoints.get(endpoint.name) === endpoint && !endpoint.failing) {
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
