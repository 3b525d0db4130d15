import { counter } from "#base/metrics";
import { oneKindInput } from "#kits/otelcol/one-kind";
import { debugMetricsSchema, inputExports } from "#kits/otelcol/schema";
import { metricsOutputSchema } from "#kits/otlp/output";
import { ServiceGraph, type ServiceGraphLoss, type ServiceGraphOptions } from "#kits/service-graph/aggregator";
import { LATENCY_BUCKETS, SPAN_CONNECTOR_MEMORY, startSpanConnector } from "#kits/span-connector";
import { commonLosses, type LossKind } from "#kits/span-metrics/status";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const LOSSES: Readonly<Record<ServiceGraphLoss | keyof typeof commonLosses, LossKind>> = {
  ...commonLosses,
  edge_store_full: {
    rule: "edges_dropped",
    isDrop: true,
    text:
      "are in no edge: too many halves of edges wait for the other half already; raise max_items in the block store, " +
      "lower its ttl, or make sure that both spans of a request come to this agent",
  },
  overflow_memory: {
    rule: "series_overflow",
    isDrop: false,
    text:
      "are in the series otel.metric.overflow: the series take all of the memory that there is for them; " +
      "use fewer dimensions, and only such with few values",
  },
};

const args = s
  .object({
    latency_histogram_buckets: s
      .list(s.duration())
      .default(LATENCY_BUCKETS)
      .doc("Upper bounds of the latency buckets."),
    dimensions: s
      .list(s.string())
      .default([])
      .doc("Attributes, of the resource or else the span, that become labels `client_NAME` and `server_NAME`."),
    cache_loop: s.duration().default("1m").doc("How often series are looked through for those unused for 15 minutes."),
    store_expiration_loop: s
      .duration()
      .default("2s")
      .doc("How often edges are looked through for those whose time is over."),
    virtual_node_peer_attributes: s
      .list(s.string())
      .default(["peer.service", "db.name", "db.system"])
      .doc(
        "Attributes of a client's span that name a server without spans, the first one first; no virtual nodes if empty.",
      ),
    virtual_node_extra_label: s
      .bool()
      .default(false)
      .doc("Add the label `virtual_node`, which says what end is virtual."),
    metrics_flush_interval: s
      .duration()
      .default("1m")
      .doc("Time between two flushes of the metrics; 0 to flush after each batch of traces."),
    database_name_attributes: s
      .list(s.string())
      .default(["db.name"])
      .doc("Attributes that name a database, which ends an edge by itself; the first one first."),
    exponential_histogram_max_size: s
      .int(-2_147_483_648, 2_147_483_647)
      .default(0)
      .doc("Most buckets of a data point with exponential buckets; 0 for the buckets of `latency_histogram_buckets`."),
    store: s
      .block(
        s.object({
          max_items: s.int(1).default(1000).doc("Most edges that wait for their other half."),
          ttl: s.duration().default("2s").doc("How long an edge waits for its other half."),
        }),
      )
      .presentByDefault()
      .doc("Where edges wait for their other half."),
    output: s.block(metricsOutputSchema).required().doc("Where metrics go."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("cache_loop", (a) => a.cache_loop > 0, "must be greater than 0")
  .rule("store_expiration_loop", (a) => a.store_expiration_loop > 0, "must be greater than 0")
  .rule("store.ttl", (a) => a.store.ttl > 0, "must be greater than 0");
type Arguments = Infer<typeof args>;

function optionsOf(given: Arguments): ServiceGraphOptions {
  const isExponential = given.exponential_histogram_max_size !== 0;
  const bounds = [...new Set(given.latency_histogram_buckets.map((ms) => ms / 1000))].sort((a, b) => a - b);
  return {
    bounds: isExponential ? undefined : bounds,
    maxSize: given.exponential_histogram_max_size,
    dimensions: given.dimensions,
    maxEdges: given.store.max_items,
    ttlMs: given.store.ttl,
    peerAttributes: given.virtual_node_peer_attributes,
    hasVirtualLabel: given.virtual_node_extra_label,
    databaseAttributes: given.database_name_attributes.length > 0 ? given.database_name_attributes : ["db.name"],
    memoryLimit: SPAN_CONNECTOR_MEMORY,
  };
}

export default defineComponent({
  name: "otelcol.connector.servicegraph",
  stability: "generally-available",
  summary:
    "Makes metrics of the requests between services: who calls whom, how often, how long it takes, how much of it fails.",
  example: `otelcol.connector.servicegraph "default" {
  dimensions = ["k8s.namespace.name"]

  output {
    metrics = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,
  metrics: {
    dropped: counter(
      "otelcol_connector_servicegraph_dropped_spans_total",
      "Number of spans dropped when trying to add edges",
    ),
    expired: counter(
      "otelcol_connector_servicegraph_expired_edges_total",
      "Number of edges that expired before finding its matching span",
    ),
    edges: counter("otelcol_connector_servicegraph_edges_total", "Total number of unique edges"),
  },

  start(ctx, first) {
    const { connector, instance } = startSpanConnector(ctx, first, {
      losses: LOSSES,
      counterOf: (given: Arguments) => new ServiceGraph(optionsOf(given), ctx.clock.now()),
      loopsOf: (given) => ({
        flushMs: given.metrics_flush_interval,
        others: [
          {
            everyMs: given.store_expiration_loop,
            run(graph) {
              graph.expire(ctx.clock.now());
              account(graph);
            },
          },
          { everyMs: given.cache_loop, run: (graph) => graph.forgetStale(ctx.clock.now()) },
        ],
      }),
      figures: ({ waiting, series }) => ({ waiting_edges: waiting, series }),
    });

    /** Moves the graph's counts to the self metrics. */
    function account(graph: ServiceGraph): void {
      const { dropped, expired, edges } = ctx.metrics;
      dropped.inc(graph.dropped);
      expired.inc(graph.expired);
      edges.inc(graph.edges);
      graph.dropped = graph.expired = graph.edges = 0;
    }

    ctx.export({
      input: oneKindInput(ctx, "traces", (batch, signal) => {
        const flushed = connector.take(batch, signal);
        account(connector.counter);
        return flushed;
      }),
    });
    return instance;
  },
});
