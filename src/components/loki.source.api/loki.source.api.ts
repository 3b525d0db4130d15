import { LabelTextCache } from "#formats/loki-push/labels";
import { HttpError, type ServedResponse } from "#kits/http/server";
import { httpServerFields } from "#kits/http/server-schema";
import { type PushRoute, PushServer, type PushVisit, pushServerMetrics } from "#kits/push/server";
import { PushStatus } from "#kits/push/status";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { readLines, readPush } from "./push-body.ts";
import { Settings } from "./settings.ts";
import { tenantOf } from "./tenant.ts";

const NAMESPACE = "loki_source_api";

const schema = s.object({
  ...httpServerFields,
  forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
  labels: s.map(s.string()).default({}).doc("Labels for all entries; they replace those that clients send."),
  relabel_rules: s
    .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
    .optional()
    .doc("Rules of a `loki.relabel`, applied to the labels of pushed streams."),
  use_incoming_timestamp: s
    .bool()
    .default(false)
    .doc("Keep the times that clients send, rather than the time of arrival."),
  max_send_message_size: s
    .byteSize()
    .default("100MiB")
    .doc("Largest request, before and after decompression; larger ones are answered with 413."),
});

export default defineComponent({
  name: "loki.source.api",
  stability: "generally-available",
  summary: "Receives log entries over HTTP, as Loki's push API takes them, or as plain lines.",
  example: `loki.source.api "default" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = 9999
  }
  forward_to = []
}`,
  args: schema,
  metrics: pushServerMetrics(NAMESPACE, `${NAMESPACE}_entries_written`, "Total number of entries written."),

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    const labelTexts = new LabelTextCache();
    let settings = new Settings(args);
    const status = new PushStatus(ctx, {
      path: "/loki/api/v1/push",
      address: () => server.address,
      labelHint: "let clients send labels, or set `labels`",
    });

    async function push(visit: PushVisit): Promise<ServedResponse> {
      const tenant = tenantOf(visit.request.headers.get("x-scope-orgid") ?? "");
      const { batch, problem, rejected } = await readPush(visit, settings.maxBytes, labelTexts);
      for (const [reason, entries] of settings.prepare(batch, tenant, ctx.clock.now())) status.dropped(reason, entries);
      await visit.deliver(batch);
      if (problem === undefined) return NO_CONTENT;
      // As in Alloy: what could be read was forwarded, and the client is told about the rest.
      if (rejected > 0) ctx.flow.drop("logs", "bad_labels", rejected);
      throw new HttpError(400, problem);
    }

    /** Plain lines get the fixed labels and nothing else: no rules, no tenant, as in Alloy. */
    async function raw(visit: PushVisit): Promise<ServedResponse> {
      const { labels, maxBytes } = settings;
      const body = await visit.content(maxBytes);
      for (const batch of readLines(body, labels, Math.floor(ctx.clock.now()))) {
        if (labels.size === 0) status.unlabelled(batch.count);
        await visit.deliver(batch);
      }
      return NO_CONTENT;
    }

    const routes: readonly PushRoute[] = [
      { method: "POST", path: "/loki/api/v1/push", handle: push },
      { method: "POST", path: "/loki/api/v1/raw", handle: raw },
      { method: "POST", path: "/api/v1/push", handle: push },
      { method: "POST", path: "/api/v1/raw", handle: raw },
      { method: "GET", path: "/ready", handle: () => ({ status: 200, body: "ready" }) },
    ];
    const server = new PushServer(
      ctx,
      {
        metrics: ctx.metrics,
        out,
        routes,
        memoryBytes: memoryFor(settings),
        accepted: () => status.accepted(),
        refused: (path, code, error) => status.refused(path, code, error),
      },
      args,
    );

    return {
      async update(next) {
        const fresh = new Settings(next);
        await server.update(next);
        settings = fresh;
        server.memory.limit = memoryFor(fresh);
        out.set(next.forward_to);
      },
      drain: () => server.drain(),
      debugInfo: () => ({ listen_address: server.address }),
    };
  },
});

const NO_CONTENT: ServedResponse = { status: 204, body: "" };

/** Beyond two of the largest requests, clients are asked to come again. */
function memoryFor({ maxBytes }: Settings): number {
  return 2 * maxBytes;
}
