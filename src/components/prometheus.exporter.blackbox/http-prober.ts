import { access, constants } from "node:fs/promises";
import { basic } from "#kits/http/client-auth";
import { shownUrl } from "#kits/http/url";
import { chooseAddress } from "./address.ts";
import { setTlsMetrics } from "./certificate.ts";
import { tlsState } from "./connection.ts";
import { CookieJar } from "./http-cookies.ts";
import { type Credentials, credentialsOf } from "./http-credentials.ts";
import { isCompression, readBody } from "./http-encoding.ts";
import { type Answer, bare, exchange, type Hop, type Trace } from "./http-exchange.ts";
import { bodyProblem, headerProblem } from "./http-matchers.ts";
import { failedDueToRegex, http as metrics } from "./metrics.ts";
import type { HttpProbe } from "./modules.ts";
import { type Probe, ProbeFailure } from "./probe.ts";

/** `ProbeHTTP` of prober/http.go, with Go's way to follow redirects (net/http/client.go). */

const MOST_REDIRECTS = 10;

export async function probeHttp(probe: Probe): Promise<void> {
  const { metrics: gauges } = probe;
  const config = probe.module.http;
  gauges.register(...Object.values(metrics).filter((each) => each !== metrics.lastModified), failedDueToRegex);
  const target = /^https?:\/\//.test(probe.target) ? probe.target : `http://${probe.target}`;
  const url = URL.parse(target);
  if (url === null || url.hostname === "") {
    throw new ProbeFailure(`${JSON.stringify(shownUrl(target))} is no URL: write it as http://host:port/path`);
  }
  const first = await firstHop(url, config, probe);
  // What is wrong with files shows before anything is sent.
  await tlsState(config.client.tls_config, probe.files);
  if (config.bodyFile !== "") await checkBodyFile(config.bodyFile);
  for (const phase of ["connect", "tls", "processing", "transfer"]) gauges.add(metrics.duration, 0, phase);
  const conversation = new Conversation(first, config, probe);
  try {
    await conversation.run();
  } finally {
    setDurations(conversation.traces, probe);
    gauges.set(metrics.redirects, conversation.redirects);
    conversation.answer?.close();
  }
}

async function checkBodyFile(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
  } catch (error) {
    throw new ProbeFailure(`cannot read body_file ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Looks the host up, and puts its address into the URL, so that all of the probe goes to one server. */
async function firstHop(url: URL, config: HttpProbe, probe: Probe): Promise<Hop> {
  const { client, ownHeaders } = config;
  const hostHeader = [...ownHeaders].find(([name]) => name.toLowerCase() === "host")?.[1];
  if (probe.hostname !== "" && hostHeader !== undefined && hostHeader !== probe.hostname) {
    throw new ProbeFailure(
      `the module has the header Host (${hostHeader}) and the scrape the parameter hostname (${probe.hostname}): leave one out`,
    );
  }
  const host = probe.hostname || hostHeader || url.host;
  const serverName = client.tls_config.server_name || probe.hostname || hostHeader || bare(url);
  const direct = new URL(url);
  if (!config.skipResolveWithProxy || client.proxy_url === undefined || client.proxy_from_environment) {
    const set = (seconds: number) => probe.metrics.add(metrics.duration, seconds, "resolve");
    const address = await chooseAddress(probe, bare(url), config.ip, set);
    direct.hostname = address.family === 6 ? `[${address.ip.replace(/%.*$/, "")}]` : address.ip;
  }
  const headers = new Map<string, readonly string[]>();
  for (const [name, value] of ownHeaders) if (name.toLowerCase() !== "host") headers.set(name.toLowerCase(), [value]);
  if (!headers.has("user-agent")) headers.set("user-agent", [`Blackbox Exporter/${probe.version}`]);
  const body = config.bodyFile === "" ? config.body || undefined : { file: config.bodyFile };
  return { url: direct, host, shown: url.host, serverName, method: config.method, headers, body, proxy: undefined };
}

/** The requests of one probe, from one redirect to the next, and what it makes of the last answer. */
class Conversation {
  readonly traces: Trace[] = [];
  redirects = 0;
  answer: Answer | undefined;
  readonly #first: Hop;
  readonly #config: HttpProbe;
  readonly #probe: Probe;
  readonly #cookies = new CookieJar();
  readonly #credentials: Credentials;
  /** A redirect led to another domain: credentials stay behind from then on. */
  #isElsewhere = false;

  constructor(first: Hop, config: HttpProbe, probe: Probe) {
    this.#first = first;
    this.#config = config;
    this.#probe = probe;
    this.#credentials = credentialsOf(config, probe);
  }

  async run(): Promise<void> {
    let hop = this.#first;
    for (;;) {
      const answer = await this.#send(hop);
      this.answer = answer;
      const next = this.#redirected(hop, answer);
      if (next === undefined) return this.#judge(answer, true);
      this.redirects += 1;
      if (this.redirects > MOST_REDIRECTS || !this.#config.client.follow_redirects) return this.#judge(answer, false);
      if (!/^https?:$/.test(next.url.protocol)) throw noUrl(hop, next.url.href);
      this.#probe.log.note("Received redirect", { location: shownUrl(next.url.href) });
      answer.close();
      this.answer = undefined;
      hop = next;
    }
  }

  async #send(hop: Hop): Promise<Answer> {
    const { url } = hop;
    this.#probe.log.note("Making HTTP request", { url: shownUrl(url.href), host: hop.host });
    const trace: Trace = { isSecure: url.protocol === "https:" };
    this.traces.push(trace);
    const headers = new Map(hop.headers);
    const cookies = this.#cookies.header(url);
    if (cookies !== undefined) headers.set("cookie", [...(headers.get("cookie") ?? []), cookies]);
    if (url.username !== "" && !headers.has("authorization")) {
      headers.set("authorization", [basic(decodeURIComponent(url.username), decodeURIComponent(url.password))]);
    }
    await this.#credentials.addTo(headers, this.#isElsewhere);
    const answer = await exchange(
      { ...hop, headers, proxy: this.#credentials.proxyFor(url) },
      trace,
      this.#config,
      this.#probe,
    );
    this.#cookies.store(url, answer.headers.get("set-cookie") ?? []);
    return answer;
  }

  /** Where the answer leads; undefined if it is the last. Throws a ProbeFailure for a place that is none. */
  #redirected(hop: Hop, { status, headers }: Answer): Hop | undefined {
    const keepsBody = status === 307 || status === 308;
    if (!keepsBody && !(status >= 301 && status <= 303)) return undefined;
    // A file is not read twice.
    if (keepsBody && typeof this.#first.body === "object") return undefined;
    const [location] = headers.get("location") ?? [];
    if (location === undefined || location === "") return undefined;
    const url = URL.parse(location, hop.url);
    if (url === null) throw noUrl(hop, location);
    const isRelative = URL.parse(location) === null;
    const first = this.#first;
    this.#isElsewhere ||= !isSubdomain(bare(url), bare(first.url));
    const copied = new Map(first.headers);
    if (this.#isElsewhere) for (const name of SENSITIVE) copied.delete(name);
    const referer = refererOf(hop.url, url);
    if (referer !== undefined && !first.headers.has("referer")) copied.set("referer", [referer]);
    const isSameHost = url.host === first.url.host;
    return {
      url,
      host: isRelative ? hop.host : url.host,
      shown: isRelative ? hop.shown : url.host,
      serverName: isSameHost ? first.serverName : bare(url),
      method: keepsBody || hop.method === "HEAD" ? hop.method : "GET",
      headers: copied,
      body: keepsBody ? hop.body : undefined,
      proxy: undefined,
    };
  }

  /** Everything about the last answer. `isWhole` unless it is a redirect that is not followed, whose body is not read. */
  async #judge(answer: Answer, isWhole: boolean): Promise<void> {
    const { metrics: gauges, log, signal } = this.#probe;
    const config = this.#config;
    log.note("Received HTTP response", { status_code: answer.status });
    const problems: string[] = [];
    const statusProblem = this.#statusProblem(answer.status, isWhole);
    if (statusProblem !== undefined) problems.push(statusProblem);

    const regexFailed = (problem: string | undefined) => {
      gauges.set(failedDueToRegex, problem === undefined ? 0 : 1);
      if (problem !== undefined) problems.push(problem);
    };
    const hasHeaderMatch = config.failIfHeaderMatches.length + config.failIfHeaderNotMatches.length > 0;
    if (problems.length === 0 && hasHeaderMatch) regexFailed(headerProblem(answer.headers, config));
    if (!isCompression(config.compression)) problems.push(`the compression ${config.compression} is not supported`);

    const hasBodyMatch = config.failIfBodyMatches.length + config.failIfBodyNotMatches.length > 0;
    const matchesBody = problems.length === 0 && hasBodyMatch;
    let length = 0;
    if (isWhole) {
      this.#probe.stage = "reading the body";
      const { compression, bodySizeLimit } = config;
      const body = await readBody(answer.body, compression, bodySizeLimit, matchesBody, signal);
      length = body.length;
      if (matchesBody) regexFailed(body.problem ?? bodyProblem(body.content!, config));
      else if (body.problem !== undefined) problems.push(body.problem);
    } else if (matchesBody) regexFailed("the body of a redirect that is not followed is not read");
    this.traces.at(-1)!.end = performance.now();

    const date = answer.headers.get("last-modified")?.[0] ?? "";
    const modified = / GMT$/.test(date) ? Date.parse(date) : Number.NaN;
    if (!Number.isNaN(modified)) gauges.set(metrics.lastModified, Math.floor(modified / 1000));
    gauges.set(metrics.version, Number(answer.protocol.slice("HTTP/".length)));
    if (config.validHttpVersions.length > 0 && !config.validHttpVersions.includes(answer.protocol)) {
      problems.push(`the answer is ${answer.protocol}, wanted ${config.validHttpVersions.join(" or ")}`);
    }
    if (answer.peer !== undefined) {
      gauges.set(metrics.ssl, 1);
      setTlsMetrics(gauges, answer.peer, true);
      if (config.failIfSsl) problems.push("the last request was made with TLS (fail_if_ssl)");
    } else if (config.failIfNotSsl) problems.push("the last request was made without TLS (fail_if_not_ssl)");
    gauges.set(metrics.statusCode, answer.status);
    gauges.set(metrics.contentLength, answer.contentLength);
    gauges.set(metrics.bodyLength, length);
    signal.throwIfAborted();
    if (problems.length > 0) throw new ProbeFailure(problems.join("; "));
  }

  #statusProblem(status: number, isWhole: boolean): string | undefined {
    const { validStatusCodes, client } = this.#config;
    const isValid = validStatusCodes.length > 0 ? validStatusCodes.includes(status) : status >= 200 && status < 300;
    if (isValid) return undefined;
    const wanted = validStatusCodes.length > 0 ? validStatusCodes.join(", ") : "2xx";
    if (isWhole) return `the answer has the status ${status}, wanted ${wanted}`;
    if (!client.follow_redirects) return `the answer is a redirect (${status}), and follow_redirects is false`;
    return `redirects have no end: the eleventh, with status ${status}, is not followed`;
  }
}

function noUrl({ shown }: Hop, location: string): ProbeFailure {
  return new ProbeFailure(
    `${shown} redirects to ${JSON.stringify(shownUrl(location).slice(0, 200))}, which is no HTTP URL`,
  );
}

/** Headers that do not go to another domain. */
const SENSITIVE = [
  "authorization",
  "cookie",
  "cookie2",
  "proxy-authenticate",
  "proxy-authorization",
  "www-authenticate",
];

function isSubdomain(host: string, of: string): boolean {
  return host === of || (!host.includes(":") && host.endsWith(`.${of}`));
}

function refererOf(from: URL, to: URL): string | undefined {
  if (from.protocol === "https:" && to.protocol === "http:") return undefined;
  const plain = new URL(from);
  plain.username = "";
  plain.password = "";
  plain.hash = "";
  return plain.href;
}

function setDurations(traces: readonly Trace[], { metrics: gauges, log }: Probe): void {
  const add = (phase: string, from: number | undefined, to: number | undefined) =>
    gauges.add(metrics.duration, from === undefined || to === undefined ? 0 : (to - from) / 1000, phase);
  for (const [i, trace] of traces.entries()) {
    log.note("Response timings for roundtrip", { roundtrip: i, ...trace });
    if (i !== 0) add("resolve", trace.start, trace.lookedUp);
    if (trace.ready === undefined) continue;
    add("connect", trace.lookedUp, trace.isSecure ? trace.connected : trace.ready);
    if (trace.isSecure) add("tls", trace.tlsStart, trace.tlsDone);
    if (trace.answered === undefined) continue;
    add("processing", trace.ready, trace.answered);
    if (trace.end !== undefined) add("transfer", trace.answered, trace.end);
  }
}
