import { counter } from "#base/metrics";
import { RelabelRules } from "#kits/relabel";
import { LOSSES_MS } from "#kits/udp-losses";
import { Secret } from "#lang/value";
import { defineComponent } from "#pipeline/component";
import type { ListenerArguments } from "./arguments.ts";
import { argumentsSchema } from "./arguments.ts";
import { Listener } from "./listener.ts";
import { MessageReader } from "./messages.ts";
import { SyslogStatus } from "./status.ts";

export default defineComponent({
  name: "loki.source.syslog",
  stability: "generally-available",
  summary: "Receives syslog messages over TCP, TLS or UDP.",
  example: `loki.source.syslog "default" {
  listener {
    address = "127.0.0.1:51893"
    labels  = { job = "syslog" }
  }
  forward_to = []
}`,
  args: argumentsSchema,
  metrics: {
    entries: counter(
      "loki_source_syslog_entries_total",
      "Total number of successful entries sent to the syslog target",
    ),
    parsingErrors: counter(
      "loki_source_syslog_parsing_errors_total",
      "Total number of parsing errors while receiving syslog messages",
    ),
    emptyMessages: counter(
      "loki_source_syslog_empty_messages_total",
      "Total number of empty messages received from syslog",
    ),
  },

  start(ctx, args) {
    requireExperimental(args.listener);
    const out = ctx.fanout("logs", args.forward_to);
    let rules = new RelabelRules(args.relabel_rules ?? []);
    let listeners: readonly Listener[] = [];
    const addresses = () => listeners.filter((each) => each.address !== undefined).map((each) => each.name);
    const status = new SyslogStatus(ctx, ctx.metrics, addresses);
    ctx.rule("certificate", () => {
      const problems = listeners.flatMap((each) => {
        const problem = each.certificateProblem(ctx.clock.now());
        return problem === undefined ? [] : [`${each.name}: ${problem}; senders refuse it`];
      });
      return problems.length === 0 ? undefined : { state: "degraded", cause: problems.join("; ") };
    });

    const create = (each: ListenerArguments) =>
      new Listener(ctx, each, {
        reader: new MessageReader(each, rules, () => ctx.clock.now()),
        status,
        deliver: (batch) => out.consume(batch, ctx.signal),
      });
    let configured = describe(args.listener);
    listeners = args.listener.map(create);
    for (const each of listeners) each.start();
    ctx.every(LOSSES_MS, async () => {
      for (const each of listeners) await each.countLosses();
    });
    const close = () => Promise.all(listeners.map((each) => each.close()));

    return {
      update(next) {
        requireExperimental(next.listener);
        rules = new RelabelRules(next.relabel_rules ?? []);
        out.set(next.forward_to);
        const fresh = describe(next.listener);
        if (fresh === configured) {
          for (const { reader } of listeners) reader.rules = rules;
          return;
        }
        configured = fresh;
        const closed = close();
        listeners = next.listener.map(create);
        for (const each of listeners) each.start(closed);
      },
      drain: async () => void (await close()),
      debugInfo: () => ({
        listeners_info: listeners.map(({ address = "", reader }) => ({
          ready: address !== "",
          listen_address: address,
          labels: reader.labels.toString(),
        })),
      }),
    };

    function requireExperimental(blocks: readonly ListenerArguments[]): void {
      if (ctx.services.minimumStability === "experimental") return;
      for (const { syslog_format, rfc3164_cisco_components } of blocks) {
        const what =
          syslog_format === "raw"
            ? '`syslog_format = "raw"`'
            : rfc3164_cisco_components !== undefined && "the block `rfc3164_cisco_components`";
        if (what) throw new Error(`${what} is experimental: start the agent with --stability.level=experimental`);
      }
    }
  },
});

/** The blocks as a text that differs when they do; secrets included, since it goes nowhere. */
function describe(blocks: readonly ListenerArguments[]): string {
  return JSON.stringify(blocks, (_, value) => {
    if (value instanceof Secret) return value.reveal();
    return value instanceof Map ? [...value] : value;
  });
}
