import { Labels } from "#base/labels";
import {
  facilityName,
  formatRfc5424,
  parseRawSyslog,
  parseRfc5424,
  Rfc3164Parser,
  type SyslogMessage,
  severityName,
  withCurrentYear,
} from "#formats/syslog";
import type { RelabelRules } from "#kits/relabel";
import { type LogBatchBuilder, sliceable } from "#pipeline/log-batch";
import type { ListenerArguments } from "./arguments.ts";

/** Label sets that are remembered, by what they are made from. */
const MAX_KNOWN = 10_000;

/** Who sent a message. */
export interface Peer {
  readonly ip: string;
  /** Names that the address has, separated by commas; empty if it has none. */
  readonly hostname: string;
}

/** What became of a message. */
export type Outcome = "forwarded" | "forwarded_empty" | "empty" | "nothing";

/** Makes log entries of one listener's messages. */
export class MessageReader {
  readonly #args: ListenerArguments;
  readonly #fixed: Labels;
  readonly #parse: (bytes: Uint8Array, start: number, end: number) => SyslogMessage;
  readonly #now: () => number;
  #rules: RelabelRules;
  readonly #known = new Map<string, { readonly labels: Labels; readonly dropped: boolean }>();
  /** Messages that a rule would have dropped; they are forwarded all the same, as in Alloy. */
  ruledOut = 0;
  /** Messages that were forwarded without labels. */
  unlabelled = 0;

  constructor(args: ListenerArguments, rules: RelabelRules, now: () => number) {
    this.#args = args;
    this.#rules = rules;
    this.#now = now;
    this.#fixed = Labels.from(args.labels);
    this.#parse = parserFor(args);
  }

  get labels(): Labels {
    return this.#fixed;
  }
  /** Whether anybody would see the sender's name. */
  get wantsHostname(): boolean {
    return this.#rules.size > 0;
  }

  set rules(rules: RelabelRules) {
    this.#rules = rules;
    this.#known.clear();
  }

  /** Adds the message `bytes[start, end)` to the builder. Throws a SyslogError. */
  read(builder: LogBatchBuilder, peer: Peer, bytes: Uint8Array, start: number, end: number): Outcome {
    const { syslog_format, rfc5424_allow_empty_msg, use_rfc5424_message, use_incoming_timestamp } = this.#args;
    const message = this.#parse(bytes, start, end);
    const { textStart, textEnd } = message;
    const isEmpty = textStart === textEnd;
    // An empty line among raw ones is no message at all.
    if (isEmpty && syslog_format === "raw" && message.priority === undefined) return "nothing";
    if (isEmpty && !rfc5424_allow_empty_msg) return "empty";

    const { labels, dropped } = this.#labels(message, peer);
    if (dropped) this.ruledOut += 1;
    if (labels.size === 0) this.unlabelled += 1;
    const stream = builder.streamId(labels);
    const now = this.#now();
    let ms = Math.floor(now);
    let ns = Math.floor((now - ms) * 1e6);
    if (use_incoming_timestamp && message.time !== undefined) ({ ms, ns } = this.#time(message, now));
    if (use_rfc5424_message && message.version !== undefined) {
      const text = sliceable(bytes).utf8Slice(textStart, textEnd);
      builder.addText(stream, ms, ns, formatRfc5424(message, text));
    } else {
      builder.add(stream, ms, ns, bytes, textStart, textEnd);
    }
    return isEmpty ? "forwarded_empty" : "forwarded";
  }

  #time({ ms, ns, version }: SyslogMessage, now: number): { readonly ms: number; readonly ns: number } {
    if (version !== undefined || !this.#args.rfc3164_default_to_current_year) return { ms, ns };
    return { ms: withCurrentYear(ms, now), ns };
  }

  #labels(message: SyslogMessage, peer: Peer): { readonly labels: Labels; readonly dropped: boolean } {
    const given = this.#rules.size === 0 ? [] : this.#given(message, peer);
    const key = given.join("\0");
    let made = this.#known.get(key);
    if (made !== undefined) return made;
    const all = new Map(this.#fixed);
    for (let i = 0; i < given.length; i += 2) all.set(given[i]!, ownCopy(given[i + 1]!));
    const { labels, dropped } = this.#rules.run(Labels.from(all));
    made = { labels: labels.filter((name) => !name.startsWith("__")), dropped };
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(key, made);
    return made;
  }

  /** The labels that rules can see beside those of the listener, flat. */
  #given(message: SyslogMessage, peer: Peer): string[] {
    const given: string[] = [];
    const add = (name: string, value: string | undefined) => {
      if (value !== undefined && value !== "") given.push(`__syslog_${name}`, value);
    };
    const { priority, structuredData } = message;
    add("connection_ip_address", peer.ip);
    add("connection_hostname", peer.hostname);
    if (priority !== undefined) {
      add("message_severity", severityName(priority));
      add("message_facility", facilityName(priority));
    }
    add("message_hostname", message.hostname);
    add("message_app_name", message.appName);
    add("message_proc_id", message.procId);
    add("message_msg_id", message.msgId);
    add("message_msg_counter", message.messageCounter);
    add("message_sequence", message.sequence);
    if (this.#args.label_structured_data && structuredData !== undefined) {
      for (const [id, params] of structuredData) {
        for (const [name, value] of params) add(`message_sd_${id.replaceAll("@", "_")}_${name}`, value);
      }
    }
    return given;
  }
}

/** A copy that does not keep the message alive from which it was cut: V8 makes slices of longer strings. */
function ownCopy(text: string): string {
  return text.length < 13 ? text : Buffer.from(text).toString();
}

function parserFor({ syslog_format, rfc3164_cisco_components: cisco }: ListenerArguments) {
  if (syslog_format === "raw") return parseRawSyslog;
  if (syslog_format === "rfc5424") return parseRfc5424;
  const parser = new Rfc3164Parser(
    cisco && {
      messageCounter: cisco.enable_all || cisco.message_counter,
      sequenceNumber: cisco.enable_all || cisco.sequence_number,
      hostname: cisco.enable_all || cisco.hostname,
      secondFractions: cisco.enable_all || cisco.second_fractions,
    },
  );
  return (bytes: Uint8Array, start: number, end: number) => parser.parse(bytes, start, end);
}
