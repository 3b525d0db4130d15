import type { Logger } from "#base/log";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { LOST_PACKETS } from "#kits/udp-losses";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import type { MessageReader, Outcome } from "./messages.ts";

type StatusContext = Pick<ComponentContext, "clock" | "log" | "flow" | "rule" | "health" | "signal">;

/** Counters as Alloy has them. */
export interface SyslogCounters {
  readonly entries: { inc(by?: number): void };
  readonly parsingErrors: { inc(by?: number): void };
  readonly emptyMessages: { inc(by?: number): void };
}

/** Counts what comes, and knows the flow status of one loki.source.syslog. */
export class SyslogStatus {
  readonly #ctx: StatusContext;
  readonly #counters: SyslogCounters;
  readonly #unreadable = new RecentDrops();
  readonly #refused = new RecentDrops();
  readonly #truncated = new RecentDrops();
  readonly #unlabelled = new RecentDrops();
  readonly #ruledOut = new RecentDrops();
  /** Why listeners do not listen, by their address. */
  readonly #problems = new Map<string, string>();
  #fromWhom = "";

  /** `addresses` are those where it listens. */
  constructor(ctx: StatusContext, counters: SyslogCounters, addresses: () => readonly string[]) {
    this.#ctx = ctx;
    this.#counters = counters;
    ctx.rule("listener", () => {
      if (this.#problems.size === 0) return undefined;
      const state = addresses().length === 0 ? "failing" : "degraded";
      return { state, cause: [...this.#problems.values()].join("; ") };
    });
    ctx.rule("messages_unreadable", () => this.#judgeUnreadable());
    ctx.rule("connections_refused", () => {
      const [first] = this.#recent(this.#refused);
      if (first === undefined) return undefined;
      const cause = `${describeDrops(this.#recent(this.#refused), "connections")} were refused: ${first.text}`;
      return { state: "degraded", cause };
    });
    ctx.rule("messages_truncated", () => {
      const [first] = this.#recent(this.#truncated);
      return (
        first && { state: "degraded", cause: `${first.items} datagrams were cut in the last 5 min: ${first.text}` }
      );
    });
    ctx.rule("no_labels", () => {
      const [first] = this.#recent(this.#unlabelled);
      if (first === undefined) return undefined;
      const cause = `${first.items} entries without labels came in the last 5 min, and Loki takes none: set \`labels\` in the listener`;
      return { state: "degraded", cause };
    });
    ctx.rule("rules_cannot_drop", () => {
      const [first] = this.#recent(this.#ruledOut);
      if (first === undefined) return undefined;
      const cause = `\`relabel_rules\` would drop ${first.items} messages of the last 5 min, but as with Alloy they are forwarded: send them through a loki.relabel that drops them`;
      return { state: "degraded", cause };
    });
    ctx.rule("no_messages", () => {
      if (ctx.flow.lastSuccess > 0 || addresses().length === 0) return undefined;
      return { state: "idle", cause: `no message has come to ${addresses().join(" or ")} since the start` };
    });
  }

  get log(): Logger {
    return this.#ctx.log;
  }
  get stopping(): boolean {
    return this.#ctx.signal.aborted;
  }

  read(outcome: Outcome): void {
    if (outcome === "empty" || outcome === "forwarded_empty") this.#counters.emptyMessages.inc();
    if (outcome !== "empty") return;
    this.#ctx.flow.drop("logs", "empty_message", 1);
    this.#ctx.flow.ok();
  }

  forwarded(entries: number, reader: MessageReader): void {
    this.#counters.entries.inc(entries);
    const now = this.#ctx.clock.now();
    if (reader.unlabelled > 0) this.#unlabelled.add("no_labels", reader.unlabelled, "", now);
    if (reader.ruledOut > 0) this.#ruledOut.add("ruled_out", reader.ruledOut, "", now);
    reader.unlabelled = 0;
    reader.ruledOut = 0;
  }

  /** A message, or with `framing_error` the rest of a connection, cannot be read. */
  unreadable(reason: "parse_error" | "framing_error", why: string, from: string): void {
    this.#counters.parsingErrors.inc();
    this.#drop(reason, why, from);
  }

  /** A datagram came while too many waited. */
  overrun(from: string): void {
    this.#drop(
      "queue_full",
      "they come faster than they are taken: raise `udp_queue_size`, or look at what comes next",
      from,
    );
  }

  /** The system threw datagrams away. */
  lost(packets: number, listener: string): void {
    this.#drop("receive_buffer_full", LOST_PACKETS, `senders to udp ${listener}`, packets);
  }

  truncated(length: number, limit: number, from: string): void {
    const text = `one from ${from} had ${length} bytes, and \`max_message_length\` is ${limit}`;
    const items = this.#truncated.add("truncated", 1, text, this.#ctx.clock.now());
    if (items !== undefined) this.log.warn("cut datagrams that are too long", { datagrams: items, cause: text });
  }

  refused(reason: "too_many" | "tls", why: string, from: string): void {
    const text = `${why} (from ${from || "an unknown address"})`;
    const connections = this.#refused.add(reason, 1, text, this.#ctx.clock.now());
    if (connections !== undefined) this.log.warn("refused connections", { reason, connections, cause: text });
  }

  /** What keeps the listener from listening; undefined for nothing. */
  listener(name: string, problem: string | undefined): void {
    if (this.#problems.get(name) === problem) return;
    if (problem === undefined) this.#problems.delete(name);
    else {
      this.#problems.set(name, problem);
      this.log.error("a listener does not listen", { listener: name, error: problem });
    }
    const problems = [...this.#problems.values()];
    this.#ctx.health(problems.length === 0 ? undefined : problems.join("; "));
    this.#ctx.flow.judge();
  }

  #drop(reason: string, why: string, from: string, items = 1): void {
    const { clock, flow } = this.#ctx;
    flow.drop("logs", reason, items);
    flow.failed(why);
    this.#fromWhom = from;
    const messages = this.#unreadable.add(reason, items, why, clock.now());
    if (messages !== undefined) this.log.warn("dropped syslog messages", { reason, messages, from, cause: why });
  }

  #recent(drops: RecentDrops) {
    return drops.recent(this.#ctx.clock.now());
  }

  #judgeUnreadable(): Judgement {
    const recent = this.#recent(this.#unreadable);
    if (recent.length === 0) return undefined;
    const accepted = this.#ctx.flow.lastSuccess >= this.#unreadable.since;
    const cause = `dropped ${describeDrops(recent, "messages")}, the last from ${this.#fromWhom}: ${recent[0]!.text}`;
    return { state: accepted ? "degraded" : "failing", cause };
  }
}
