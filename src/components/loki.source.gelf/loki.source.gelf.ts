import { errorText } from "#base/log";
import { counter } from "#base/metrics";
import { GelfError } from "#formats/gelf";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { RelabelRules } from "#kits/relabel";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { LOSSES_MS, LOST_PACKETS, type UdpLosses } from "#kits/udp-losses";
import type { UdpSocket } from "#kits/udp-socket";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { LogBatchBuilder } from "#pipeline/log-batch";
import { ChunkError, Chunks, isChunk } from "./chunks.ts";
import { MessageLabels, readMessage, timeOf } from "./messages.ts";
import { openSocket } from "./socket.ts";

/** Pause before a socket that could not be opened is tried again. */
const RETRY_MS = 5_000;
/** Datagrams that wait for the consumers; beyond it they are dropped. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;
/** Beyond what a date can be. */
const MAX_SECONDS = 8.64e12;

export default defineComponent({
  name: "loki.source.gelf",
  stability: "generally-available",
  summary: "Receives messages in Graylog's format over UDP.",
  example: `loki.source.gelf "default" {
  listen_address = "127.0.0.1:12201"
  forward_to     = []
}`,
  args: s.object({
    listen_address: s.string().default("0.0.0.0:12201").doc("`host:port` to listen on, UDP."),
    use_incoming_timestamp: s
      .bool()
      .default(false)
      .doc("Keep the time in the message, rather than that of its arrival."),
    relabel_rules: s
      .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
      .optional()
      .doc(
        "Rules of a `loki.relabel`: they make labels of `__gelf_message_level`, `_host`, `_version` and `_facility`.",
      ),
    forward_to: s.list(s.consumer("logs")).doc("Where entries go. Those without any label get `job`."),
  }),
  metrics: {
    entries: counter(
      "loki_source_gelf_target_entries_total",
      "Total number of successful entries sent to the gelf target",
    ),
    errors: counter(
      "loki_source_gelf_target_parsing_errors_total",
      "Total number of parsing errors while receiving gelf messages",
    ),
  },

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    const drops = new RecentDrops();
    const builder = new LogBatchBuilder();
    const chunks = new Chunks((messages) => drop("chunks_missing", messages, "not all chunks came within 5 s"));
    let current = args;
    let labels = labelsFor(args);
    let address = "";
    let losses: UdpLosses | undefined;
    let problem: string | undefined;
    let reopen = new AbortController();
    let draining = false;
    let waiting: { readonly bytes: Uint8Array; readonly from: string }[] = [];
    let waitingBytes = 0;
    let pumping: Promise<void> | undefined;

    ctx.rule("listener", () => (problem === undefined ? undefined : { state: "failing", cause: problem }));
    ctx.rule("messages_dropped", () => {
      const recent = drops.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      const cause = `dropped ${describeDrops(recent, "messages")}: ${recent[0]!.text}`;
      return { state: ctx.flow.lastSuccess >= drops.since ? "degraded" : "failing", cause };
    });
    ctx.rule("no_messages", () => {
      if (ctx.flow.lastSuccess > 0 || address === "") return undefined;
      return { state: "idle", cause: `no message has come to udp ${address} since the start` };
    });
    ctx.every(1_000, () => chunks.expire(ctx.clock.monotonic()));
    ctx.every(LOSSES_MS, async () => {
      const packets = (await losses?.take()) ?? 0;
      if (packets > 0) drop("receive_buffer_full", packets, LOST_PACKETS);
    });
    ctx.run(async (signal) => {
      while (!signal.aborted && !draining) await listen(signal);
    });

    return {
      update(next) {
        const moved = next.listen_address !== current.listen_address;
        labels = labelsFor(next);
        current = next;
        out.set(next.forward_to);
        if (moved) reopen.abort();
      },
      async drain() {
        draining = true;
        reopen.abort();
        await pumping;
      },
      debugInfo: () => ({ listen_address: address }),
    };

    function labelsFor(next: typeof args): MessageLabels {
      return new MessageLabels(new RelabelRules(next.relabel_rules ?? []), ctx.id);
    }

    /** Listens until the component stops or the address changes. */
    async function listen(signal: AbortSignal): Promise<void> {
      reopen = new AbortController();
      const end = () => reopen.abort();
      signal.addEventListener("abort", end, { once: true });
      let socket: UdpSocket | undefined;
      try {
        const failed = (error: Error) => ctx.log.warn("the socket failed", { address, error });
        socket = await openSocket(current.listen_address, take, failed);
        ({ address, losses } = socket);
        report(undefined);
        ctx.log.info("listening for GELF UDP messages", { listen_address: address });
      } catch (error) {
        report(errorText(error));
      }
      await ctx.clock.sleep(socket === undefined ? RETRY_MS : 2 ** 31 - 1, reopen.signal).catch(() => {});
      signal.removeEventListener("abort", end);
      address = "";
      losses = undefined;
      await socket?.close();
    }

    function report(next: string | undefined): void {
      if (next === problem) return;
      problem = next;
      if (next !== undefined) ctx.log.error("the socket cannot be opened", { error: next });
      ctx.health(next);
      ctx.flow.judge();
    }

    function take(bytes: Uint8Array, from: string): void {
      if (waitingBytes > MAX_WAITING_BYTES) {
        drop("queue_full", 1, "they come faster than they are taken: look at what comes next");
        return;
      }
      waiting.push({ bytes, from });
      waitingBytes += bytes.length;
      pumping ??= pump().finally(() => void (pumping = undefined));
    }

    async function pump(): Promise<void> {
      await new Promise((resolve) => setImmediate(resolve)); // for what is there already
      while (waiting.length > 0) {
        const taken = waiting;
        waiting = [];
        waitingBytes = 0;
        for (const { bytes, from } of taken) read(bytes, from);
        const { count } = builder;
        if (count === 0) continue;
        try {
          await out.consume(builder.build(), ctx.signal);
          ctx.metrics.entries.inc(count);
        } catch (error) {
          if (ctx.signal.aborted) return;
          ctx.log.error("entries could not be handed on", { error });
        } finally {
          builder.reset();
        }
      }
    }

    function read(datagram: Uint8Array, from: string): void {
      try {
        const bytes = isChunk(datagram) ? chunks.add(from, datagram, ctx.clock.monotonic()) : datagram;
        if (bytes === undefined) return;
        const message = readMessage(bytes);
        const set = labels.of(message);
        if (set === undefined) {
          ctx.flow.drop("logs", "relabel_rule", 1);
          ctx.flow.ok();
          return;
        }
        const now = ctx.clock.now();
        let ms = Math.floor(now);
        let ns = Math.floor((now - ms) * 1e6);
        const { timestamp } = message;
        const isUsable = timestamp !== 0 && Math.abs(timestamp) < MAX_SECONDS;
        if (current.use_incoming_timestamp && isUsable) ({ ms, ns } = timeOf(timestamp));
        builder.addText(builder.streamId(set), ms, ns, message.line);
      } catch (error) {
        if (!(error instanceof GelfError || error instanceof ChunkError)) throw error;
        ctx.metrics.errors.inc();
        drop("parse_error", 1, `${error.message} (from ${from})`);
      }
    }

    function drop(reason: string, items: number, why: string): void {
      ctx.flow.drop("logs", reason, items);
      ctx.flow.failed(why);
      const messages = drops.add(reason, items, why, ctx.clock.now());
      if (messages !== undefined) ctx.log.warn("dropped GELF messages", { reason, messages, cause: why });
    }
  },
});
