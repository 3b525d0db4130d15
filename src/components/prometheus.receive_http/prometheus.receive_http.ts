import { counter } from "#base/metrics";
import { HttpError, type ServedRequest, type ServedResponse } from "#kits/http/server";
import { httpServerFields } from "#kits/http/server-schema";
import { MetricFanout, metricFanoutMetrics } from "#kits/metric-fanout";
import { PushServer, type PushVisit, serverMetrics } from "#kits/push/server";
import { PushStatus } from "#kits/push/status";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { Exemplars } from "./exemplars.ts";
import { HeldSeries } from "./held-series.ts";
import {
  MAX_REQUEST_BYTES,
  messageOf,
  receiveWrite,
  WRITE_1,
  WRITE_2,
  type WriteMessage,
  Written,
} from "./write-request.ts";

const PATH = "/api/v1/metrics/write";
/** Series that no client has sent for one to two times as long are let go. */
const SWEEP_MS = 5 * 60_000;
/** Beyond two of the largest requests, packed and unpacked, clients are asked to come again. */
const MEMORY_BYTES = 4 * MAX_REQUEST_BYTES;

export default defineComponent({
  name: "prometheus.receive_http",
  stability: "generally-available",
  summary: "Receives samples over HTTP, as Prometheus's remote write sends them.",
  example: `prometheus.receive_http "default" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = 9999
  }
  forward_to = []
}`,
  args: s
    .object({
      ...httpServerFields,
      forward_to: s.list(s.consumer("metrics")).doc("Where samples go."),
      append_metadata: s
        .bool()
        .default(false)
        .doc("Also hand on the type, help text and unit of metrics; needs `--stability.level=experimental`."),
      enable_type_and_unit_labels: s
        .bool()
        .default(false)
        .doc(
          "Add the type and the unit that come with series of remote write 2.0 as labels `__type__` and `__unit__`; needs `--stability.level=experimental`.",
        ),
      accepted_remote_write_protobuf_messages: s
        .list(s.string())
        .min(1)
        .default([WRITE_1])
        .doc(`Messages to accept: "${WRITE_1}" (1.0) and "${WRITE_2}" (2.0, experimental).`),
    })
    .rule(
      "accepted_remote_write_protobuf_messages",
      (args) => args.accepted_remote_write_protobuf_messages.every(isMessage),
      (args) => {
        const wrong = args.accepted_remote_write_protobuf_messages.find((each) => !isMessage(each));
        return `has an unknown message ${JSON.stringify(wrong)}; use "${WRITE_1}" or "${WRITE_2}"`;
      },
    ),
  metrics: {
    invalidLabels: counter(
      "prometheus_api_remote_write_invalid_labels_samples_total",
      "The total number of received remote write samples and histogram samples which were rejected due to invalid labels.",
    ),
    withoutMetadata: counter(
      "prometheus_api_remote_write_without_metadata_appended_samples_total",
      "The total number of received remote write samples (and histogram samples) which were ingested without corresponding metadata.",
    ),
    ...serverMetrics("prometheus_receive_http"),
    ...metricFanoutMetrics,
  },

  start(ctx, args) {
    const { series: registry } = ctx.services;
    refuseExperimental(args);
    const out = new MetricFanout(ctx, args.forward_to);
    const held = new HeldSeries(registry);
    const exemplars = new Exemplars(registry);
    ctx.stack.defer(() => {
      held[Symbol.dispose]();
      exemplars[Symbol.dispose]();
    });
    let settings = settingsFrom(args);
    const status = new PushStatus(ctx, {
      signal: "metrics",
      path: PATH,
      address: () => server.address,
      unreadable: { rule: "samples_rejected", noun: "samples" },
    });
    ctx.every(SWEEP_MS, () => {
      held.sweep();
      const expired = exemplars.expire();
      if (expired > 0)
        status.unreadable("invalid_exemplar", expired, "exemplars came without a sample of their series");
    });

    async function write(visit: PushVisit<"metrics">): Promise<ServedResponse> {
      const message = messageOf(visit.request.headers.get("content-type"), settings.accepted);
      const written = new Written();
      const isV2 = message === WRITE_2;
      const intake = await receiveWrite(
        visit,
        message,
        settings,
        { registry, held, exemplars },
        ctx.clock.now(),
        written,
      );
      for (const [reason, { items, message: why }] of intake.rejected) {
        if (items > 0) status.unreadable(reason, items, why);
        if (reason === "invalid_labels") ctx.metrics.invalidLabels.inc(items);
      }
      const { complaint } = intake;
      const headers = isV2 ? written.headers : {};
      // As the specifications of both versions demand: what is good is handed on, and the client is told about the rest.
      if (complaint !== undefined) throw new HttpError(400, complaint, headers);
      return { status: 204, headers, body: "" };
    }

    const server = new PushServer<"metrics">(
      ctx,
      {
        metrics: ctx.metrics,
        out,
        routes: [{ method: "POST", path: PATH, handle: write, refuse }],
        memoryBytes: MEMORY_BYTES,
        accepted: () => status.accepted(),
        refused: (path, code, error) => status.refused(path, code, error),
      },
      args,
    );

    return {
      async update(next) {
        refuseExperimental(next);
        await server.update(next);
        settings = settingsFrom(next);
        out.set(next.forward_to);
        held.forgetMetadata(); // new consumers have heard of none
      },
      drain: () => server.drain(),
      debugInfo: () => ({ listen_address: server.address, series: held.size }),
    };

    function refuseExperimental(next: typeof args): void {
      if (ctx.services.minimumStability === "experimental") return;
      const wanted = next.append_metadata
        ? "`append_metadata`"
        : next.enable_type_and_unit_labels
          ? "`enable_type_and_unit_labels`"
          : next.accepted_remote_write_protobuf_messages.includes(WRITE_2)
            ? `the message "${WRITE_2}"`
            : undefined;
      if (wanted === undefined) return;
      throw new Error(`${wanted} is experimental: start the agent with --stability.level=experimental to use it`);
    }
  },
});

function isMessage(text: string): text is WriteMessage {
  return text === WRITE_1 || text === WRITE_2;
}

function settingsFrom<A extends { readonly accepted_remote_write_protobuf_messages: readonly string[] }>(args: A) {
  return { ...args, accepted: args.accepted_remote_write_protobuf_messages.filter(isMessage) };
}

/** A refusal in plain text; to clients of remote write 2.0 with the word that nothing was written. */
function refuse(status: number, message: string, request: ServedRequest): ServedResponse {
  const isV2 = request.headers.get("content-type")?.includes(WRITE_2) === true;
  const headers = { "content-type": "text/plain; charset=utf-8", ...(isV2 ? new Written().headers : {}) };
  return { status, headers, body: `${message}\n` };
}
