import type { Socket } from "node:net";
import { gauge } from "#kits/exporter/page";
import { chooseAddress, sourceOf, splitHostPort } from "./address.ts";
import { peerOf, setTlsMetrics } from "./certificate.ts";
import { connect, explain, secure, tlsState } from "./connection.ts";
import { LineReader } from "./line-reader.ts";
import { failedDueToRegex } from "./metrics.ts";
import type { QueryResponse, StreamProbe } from "./modules.ts";
import { type Probe, ProbeFailure } from "./probe.ts";

/** `ProbeTCP` of prober/tcp.go, and `ProbeUnix` of later versions. */

export async function probeTcp(probe: Probe): Promise<void> {
  const { metrics, module, signal, target } = probe;
  metrics.register(failedDueToRegex);
  const parts = splitHostPort(target);
  const port = Number(parts?.port || Number.NaN);
  if (parts === undefined || !(port > 0 && port < 65_536)) {
    throw new ProbeFailure(`${JSON.stringify(target)} is no address for TCP: write it as host:port`);
  }
  const { ip } = await chooseAddress(probe, parts.host, module.tcp.ip);
  const localAddress = sourceOf(module.tcp.sourceAddress);
  probe.stage = `connecting to ${target}`;
  let socket: Socket;
  try {
    socket = await connect({ host: ip, port, ...(localAddress && { localAddress }) }, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw explain(error, target, module.tcp.tls);
  }
  await converse(socket, module.tcp, probe.hostname || parts.host, probe);
}

export async function probeUnix(probe: Probe): Promise<void> {
  const { metrics, module, signal, target } = probe;
  metrics.register(failedDueToRegex);
  probe.stage = `connecting to ${target}`;
  let socket: Socket;
  try {
    socket = await connect({ path: target }, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new ProbeFailure(`the socket ${target} cannot be used: ${socketProblem(error)}`, { cause: error });
  }
  await converse(socket, module.unix, probe.hostname, probe);
}

function socketProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "it does not exist";
  if (code === "EACCES") return "the agent's user has no permission to use it";
  return code === "ECONNREFUSED" ? "nobody listens there" : message;
}

/** Goes through the queries and answers of the module. `name` is what the certificate has to be for. */
async function converse(socket: Socket, config: StreamProbe, name: string, probe: Probe): Promise<void> {
  let current = socket;
  const startTls = async () => {
    probe.stage = `in the TLS handshake with ${probe.target}`;
    const state = await tlsState(config.tlsConfig, probe.files);
    const secured = await secure(current, { state, name, shown: probe.target }, probe);
    setTlsMetrics(probe.metrics, peerOf(secured), true);
    current = secured;
  };
  try {
    if (config.tls) await startTls();
    probe.log.note("Successfully dialed");
    let lines = new LineReader(current);
    for (const [i, step] of config.queryResponse.entries()) {
      probe.stage = `at step ${i + 1} of query_response`;
      const send = await expect(step, i, lines, probe);
      if (send !== "") await write(current, `${send}\n`, probe.signal);
      if (step.startTls) {
        await startTls();
        lines = new LineReader(current);
      }
    }
  } finally {
    current.destroy();
    socket.destroy();
  }
}

/** Waits for the line that a step expects; gives what to send then. */
async function expect(step: QueryResponse, index: number, lines: LineReader, probe: Probe): Promise<string> {
  const { expect: regex, send, labels } = step;
  if (regex === undefined) return send;
  let last = "";
  for (;;) {
    let line: Buffer | undefined;
    try {
      line = await lines.next(probe.signal);
    } catch (error) {
      probe.signal.throwIfAborted();
      throw new ProbeFailure(`reading from ${probe.target} failed: ${(error as Error).message}`, { cause: error });
    }
    if (line === undefined) {
      probe.metrics.set(failedDueToRegex, 1);
      const shown = last === "" ? "it said nothing" : `the last line was ${JSON.stringify(last.slice(0, 100))}`;
      throw new ProbeFailure(
        `${probe.target} closed the connection before a line matched ${JSON.stringify(regex.source)} of step ${index + 1}: ${shown}`,
      );
    }
    const match = regex.execBytes(line, 0, line.length);
    last = line.toString("utf8");
    probe.log.note("Read line", { line: last });
    if (match === null) continue;
    probe.metrics.set(failedDueToRegex, 0);
    if (labels.length > 0) {
      const info = gauge("probe_expect_info", "Explicit content matched", ...labels.map((label) => label.name));
      probe.metrics.set(info, 1, ...labels.map((label) => regex.expand(label.value, match)));
    }
    return regex.expand(send, match);
  }
}

function write(socket: Socket, text: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    socket.write(text, (error) => {
      signal.removeEventListener("abort", abort);
      if (error) reject(new ProbeFailure(`sending failed: ${error.message}`, { cause: error }));
      else resolve();
    });
  });
}
