import { counter } from "#base/metrics";
import { DrainFrameError, DrainMessageError, HerokuDrain } from "#formats/heroku-drain";
import { HttpError, type ServedRequest, type ServedResponse } from "#kits/http/server";
import { httpServerFields } from "#kits/http/server-schema";
import { InternalLabels, TENANT_LABEL } from "#kits/loki-push-labels";
import { PushServer, type PushVisit, pushServerMetrics } from "#kits/push/server";
import { PushStatus } from "#kits/push/status";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { LogBatchBuilder } from "#pipeline/log-batch";

const PATH = "/heroku/api/v1/drain";
/** Logplex sends some hundred messages of at most 10 KB each in a request. */
const MAX_BODY = 32 * 1024 * 1024;
const ENTRIES_PER_BATCH = 32_768;

const schema = s.object({
  ...httpServerFields,
  forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
  labels: s
    .map(s.string())
    .default({})
    .doc("Labels for all entries; `relabel_rules` do not see them and may replace them."),
  relabel_rules: s
    .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
    .optional()
    .doc(
      "Rules of a `loki.relabel`: they make labels of those that begin with `__heroku_drain_`, which are removed afterwards.",
    ),
  use_incoming_timestamp: s.bool().default(false).doc("Keep Heroku's times, rather than the time of arrival."),
});

export default defineComponent({
  name: "loki.source.heroku",
  stability: "generally-available",
  summary: "Receives the log drains of Heroku applications over HTTP.",
  example: `loki.source.heroku "default" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = 4040
  }
  labels     = { platform = "heroku" }
  forward_to = []
}`,
  args: schema,
  metrics: {
    ...pushServerMetrics(
      "loki_source_heroku_drain_target",
      "loki_source_heroku_drain_entries_total",
      "Number of successful entries received by the Heroku target",
    ),
    parsingErrors: counter(
      "loki_source_heroku_drain_parsing_errors_total",
      "Number of parsing errors while receiving Heroku messages",
    ),
  },

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    const labelsFrom = ({ labels, relabel_rules }: typeof args) =>
      new InternalLabels({ rules: relabel_rules, fixed: labels, rulesOwnTenant: false });
    let labels = labelsFrom(args);
    let useIncomingTime = args.use_incoming_timestamp;
    const status = new PushStatus(ctx, {
      path: PATH,
      address: () => server.address,
      labelHint: "set `labels`",
      unreadable: { rule: "messages_unreadable", noun: "messages" },
      rulesCannotDrop: true,
    });

    /** Forwards the messages that can be read; for the others the drain is answered with 400, and they are counted. */
    async function drain(visit: PushVisit): Promise<ServedResponse> {
      const { request } = visit;
      const messages = new HerokuDrain(await visit.content(MAX_BODY));
      const builder = new LogBatchBuilder();
      const common = commonLabels(request);
      const now = Math.floor(ctx.clock.now());
      let seen = 0;
      let bad = 0;
      let unlabelled = 0;
      let ruledOut = 0;
      let problem: DrainMessageError | DrainFrameError | undefined;
      for (;;) {
        try {
          if (!messages.next()) break;
          seen += 1;
          messages.read();
        } catch (error) {
          if (error instanceof DrainMessageError) {
            problem ??= error;
            bad += 1;
            continue;
          }
          if (!(error instanceof DrainFrameError)) throw error;
          problem = error;
          break;
        }
        const { hostname, application, process, id, textStart, textEnd } = messages;
        const made = labels.make([
          ...["__heroku_drain_host", hostname, "__heroku_drain_app", application],
          ...["__heroku_drain_proc", process, "__heroku_drain_log_id", id, ...common],
        ]);
        if (made.unlabelled) unlabelled += 1;
        if (made.ruledOut) ruledOut += 1;
        const hasTime = useIncomingTime && !Number.isNaN(messages.ms);
        // Times of arrival differ, so that Loki keeps the order.
        const ms = hasTime ? messages.ms : now + Math.floor(seen / 1_000_000);
        const ns = hasTime ? messages.ns : seen % 1_000_000;
        builder.add(builder.streamId(made.labels), ms, ns, messages.bytes, textStart, textEnd);
        if (builder.count === ENTRIES_PER_BATCH) await visit.deliver(builder.take());
      }
      await visit.deliver(builder.take());
      status.unlabelled(unlabelled);
      status.ruledOut(ruledOut);
      if (problem === undefined) return { status: 204, body: "" };
      if (bad > 0) status.unreadable("bad_message", bad, problem.message);
      if (problem instanceof DrainFrameError) {
        // Nobody knows how many messages the rest has, but for what Heroku says.
        const lost = Math.max(1, announced(request) - seen);
        status.unreadable("bad_frame", lost, problem.message);
      }
      ctx.metrics.parsingErrors.inc(bad + (problem instanceof DrainFrameError ? 1 : 0));
      throw new HttpError(400, problem.message);
    }

    const server = new PushServer(
      ctx,
      {
        metrics: ctx.metrics,
        out,
        routes: [
          { method: "POST", path: PATH, handle: drain },
          { method: "GET", path: "/healthy", handle: () => ({ status: 200, body: "" }) },
        ],
        memoryBytes: 2 * MAX_BODY,
        accepted: () => status.accepted(),
        refused: (path, code, error) => status.refused(path, code, error),
      },
      args,
    );

    return {
      async update(next) {
        const fresh = labelsFrom(next);
        await server.update(next);
        labels = fresh;
        useIncomingTime = next.use_incoming_timestamp;
        out.set(next.forward_to);
      },
      drain: () => server.drain(),
      debugInfo: () => ({ ready: server.address !== "", address: server.address }),
    };
  },
});

/** What the request says about all of its messages, flat. */
function commonLabels(request: ServedRequest): string[] {
  const flat: string[] = [];
  for (const name of new Set(request.query.keys())) {
    flat.push(`__heroku_drain_param_${name}`, request.query.getAll(name).join(","));
  }
  const tenant = request.headers.get("x-scope-orgid") ?? "";
  if (tenant !== "") flat.push(TENANT_LABEL, tenant);
  return flat;
}

/** How many messages Logplex says are in the request. */
function announced(request: ServedRequest): number {
  const text = request.headers.get("logplex-msg-count") ?? "";
  return /^\d{1,6}$/.test(text) ? Number(text) : 0;
}
