import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import type { Socket } from "node:net";
import { type Address, chooseAddress, sourceOf, splitHostPort } from "./address.ts";
import { connect, explain, secure, tlsState } from "./connection.ts";
import { type DnsAnswer, DnsMessageError, type DnsRecord, decodeAnswer, encodeQuestion } from "./dns-message.ts";
import { DNS_CLASSES, DNS_RCODES, DNS_TYPES, dnsCodeName } from "./dns-names.ts";
import { dns as metrics } from "./metrics.ts";
import type { DnsProbe, RecordValidator } from "./modules.ts";
import { type Probe, ProbeFailure, secondsSince } from "./probe.ts";

/** `ProbeDNS` of prober/dns.go. */
export async function probeDns(probe: Probe): Promise<void> {
  const { metrics: gauges, target, log } = probe;
  const config = probe.module.dns;
  gauges.register(metrics.answers, metrics.authorities, metrics.additionals, metrics.succeeded);
  for (const phase of ["connect", "request", "resolve"]) gauges.add(metrics.duration, 0, phase);
  const type = DNS_TYPES.get(config.queryType)!;
  const question = { name: config.queryName, type, class: DNS_CLASSES.get(config.queryClass)!, id: randomInt(65_536) };
  if (config.transport !== "udp" && config.transport !== "tcp") {
    throw new ProbeFailure(`transport_protocol is ${config.transport}: it can be udp or tcp`);
  }
  const parts = splitHostPort(target);
  const host = parts?.host ?? target.replace(/^\[(.*)\]$/, "$1");
  const port = Number(parts?.port || (config.overTls ? 853 : 53));
  const address = await chooseAddress(probe, host, config.ip);
  gauges.add(metrics.duration, address.lookupSeconds, "resolve");
  if (config.overTls && config.transport !== "tcp") {
    throw new ProbeFailure("dns_over_tls needs transport_protocol: tcp");
  }

  probe.stage = `waiting for the answer of ${target}`;
  log.note("Making DNS query", { target: address.ip, port, query: config.queryName, type: config.queryType });
  const times: Times = { start: performance.now(), sent: undefined };
  let answer: DnsAnswer;
  try {
    const message = encodeQuestion({ ...question, recursion: config.recursion });
    const ask = config.transport === "udp" ? askByUdp : askByTcp;
    answer = await ask({ message, id: question.id, address, host, port, config, times, probe });
  } catch (error) {
    probe.signal.throwIfAborted();
    if (error instanceof DnsMessageError) throw new ProbeFailure(error.message, { cause: error });
    throw explain(error, target, config.overTls);
  } finally {
    const total = secondsSince(times.start);
    const request = times.sent === undefined ? 0 : secondsSince(times.sent);
    gauges.set(metrics.duration, total - request, "connect");
    gauges.set(metrics.duration, request, "request");
  }
  gauges.set(metrics.answers, answer.answer.length);
  gauges.set(metrics.authorities, answer.authority.length);
  gauges.set(metrics.additionals, answer.additional.length);
  gauges.set(metrics.succeeded, 1);
  if (config.queryType === "SOA") {
    const serials = answer.answer.map((each) => each.serial).filter((each) => each !== undefined);
    gauges.set(metrics.serial, serials.at(-1) ?? 0);
  }
  checkCode(answer.code, config.validRcodes);
  checkRecords(answer.answer, config.answer, "answer", probe);
  checkRecords(answer.authority, config.authority, "authority", probe);
  checkRecords(answer.additional, config.additional, "additional", probe);
}

interface Times {
  readonly start: number;
  /** When the question was sent, the connection being there. */
  sent: number | undefined;
}
interface Asking {
  readonly message: Buffer;
  readonly id: number;
  readonly address: Address;
  readonly host: string;
  readonly port: number;
  readonly config: DnsProbe;
  readonly times: Times;
  readonly probe: Probe;
}

function askByUdp({ message, id, address, port, config, times, probe }: Asking): Promise<DnsAnswer> {
  const source = sourceOf(config.sourceAddress);
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.family === 4 ? "udp4" : "udp6");
    const { signal } = probe;
    const settle = (action: () => void) => {
      signal.removeEventListener("abort", abort);
      socket.close();
      action();
    };
    const abort = () => settle(() => reject(signal.reason as Error));
    const fail = (error: Error) => settle(() => reject(error));
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", fail);
    socket.on("message", (bytes) => {
      // Another id belongs to a question of somebody else, or is a guess.
      if (bytes.length < 2 || bytes.readUInt16BE(0) !== id) return;
      try {
        const answer = decodeAnswer(bytes);
        settle(() => resolve(answer));
      } catch (error) {
        fail(error as Error);
      }
    });
    const connectTo = () =>
      socket.connect(port, address.ip, () => {
        times.sent = performance.now();
        socket.send(message);
      });
    if (source === undefined) connectTo();
    else socket.bind({ address: source }, connectTo);
    return undefined;
  });
}

async function askByTcp({ message, id, address, host, port, config, times, probe }: Asking): Promise<DnsAnswer> {
  const localAddress = sourceOf(config.sourceAddress);
  let socket: Socket = await connect({ host: address.ip, port, ...(localAddress && { localAddress }) }, probe.signal);
  const abort = () => socket.destroy(probe.signal.reason as Error);
  probe.signal.addEventListener("abort", abort, { once: true });
  try {
    if (config.overTls) {
      const state = await tlsState(config.tlsConfig, probe.files);
      socket = await secure(socket, { state, name: host, shown: probe.target }, probe);
    }
    times.sent = performance.now();
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
    const answer = decodeAnswer(await readFrame(socket));
    if (answer.id !== id) throw new ProbeFailure("the server answers another question than the one it was asked");
    return answer;
  } finally {
    probe.signal.removeEventListener("abort", abort);
    socket.destroy();
  }
}

/** A message with its length before it. */
async function readFrame(socket: Socket): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0))
      return bytes.subarray(2, 2 + bytes.readUInt16BE(0));
  }
  throw new ProbeFailure("the server closed the connection before it answered");
}

function checkCode(code: number, valid: readonly string[]): void {
  const unknown = valid.find((name) => !DNS_RCODES.has(name));
  if (unknown !== undefined) throw new ProbeFailure(`valid_rcodes has ${unknown}, which is no code of DNS`);
  if (valid.some((name) => DNS_RCODES.get(name) === code)) return;
  throw new ProbeFailure(`the server answers ${dnsCodeName(code)}, wanted ${valid.join(" or ")}`);
}

/** `validRRs`, with its way of judging: what `fail_if_all_match_regexp` fails for is that not all match. */
function checkRecords(records: readonly DnsRecord[], validator: RecordValidator, part: string, { log }: Probe): void {
  const { failIfMatches, failIfAllMatch, failIfNotMatches, failIfNoneMatches } = validator;
  const fail = (why: string): never => {
    throw new ProbeFailure(`validate_${part}_rrs: ${why}`);
  };
  if (records.length === 0 && failIfNotMatches.length > 0)
    fail("fail_if_not_matches_regexp is set, and there are no records");
  if (records.length === 0 && failIfNoneMatches.length > 0)
    fail("fail_if_none_matches_regexp is set, and there are no records");
  for (const { text } of records) {
    log.note("Validating RR", { rr: text });
    const shown = JSON.stringify(text.slice(0, 200));
    const bad = failIfMatches.find((regex) => regex.test(text));
    if (bad !== undefined) fail(`the record ${shown} matches ${bad.source} of fail_if_matches_regexp`);
    const missing = failIfNotMatches.find((regex) => !regex.test(text));
    if (missing !== undefined)
      fail(`the record ${shown} does not match ${missing.source} of fail_if_not_matches_regexp`);
  }
  const allMatch = records.every(({ text }) => failIfAllMatch.every((regex) => regex.test(text)));
  if (failIfAllMatch.length > 0 && !allMatch) fail("not all records match what fail_if_all_match_regexp names");
  const anyMatch = records.some(({ text }) => failIfNoneMatches.some((regex) => regex.test(text)));
  if (failIfNoneMatches.length > 0 && !anyMatch) fail("no record matches anything of fail_if_none_matches_regexp");
}
