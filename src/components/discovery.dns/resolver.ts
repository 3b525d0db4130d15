import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";

/**
 * Look-ups as Prometheus makes them (prometheus/discovery/dns, with `ClientConfig` of miekg/dns): the servers and search
 * domains of resolv.conf, read for each round; each server is asked in turn until one gives an answer that can be used.
 */

export const RECORD_TYPES = ["SRV", "A", "AAAA", "MX", "NS"] as const;
export type RecordType = (typeof RECORD_TYPES)[number];

/** A host of the answer, without the dot at its end; for SRV records with its port. */
export interface DnsRecord {
  readonly host: string;
  readonly port: number | undefined;
}

export interface ResolverConfig {
  /** With their ports. */
  readonly servers: readonly string[];
  readonly search: readonly string[];
  /** A name with so many dots is looked up as it stands first. */
  readonly dots: number;
}

/** Longest time that one server may take for one answer: that of miekg/dns. */
const TIMEOUT_MS = 2_000;
/** What the language of the errors calls the answers of a server that knows: no records of this type, no such name. */
const NO_RECORDS = "ENODATA";
const NO_NAME = "ENOTFOUND";

/** resolv.conf(5), as far as miekg/dns reads it. `port` is that of the servers. */
export function parseResolvConf(text: string, port: number): ResolverConfig {
  const servers: string[] = [];
  let search: readonly string[] = [];
  let dots = 1;
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line.split(/\s+/).filter(Boolean);
    if (keyword === "nameserver" && words.length > 0) {
      const [server] = words as [string];
      servers.push(server.includes(":") ? `[${server}]:${port}` : `${server}:${port}`);
    } else if (keyword === "domain") search = words.slice(0, 1);
    else if (keyword === "search") search = words;
    else if (keyword === "options") {
      for (const word of words) {
        const [, digits] = /^ndots:(.*)$/.exec(word) ?? [];
        if (digits !== undefined) dots = Math.min(15, /^\d+$/.test(digits) ? Number(digits) : 0);
      }
    }
  }
  return { servers, search, dots };
}

/** Rejects with what to do when there are no servers to ask. */
export async function readResolverConfig(path: string, port: number): Promise<ResolverConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${path}, which names the DNS servers: ${(error as Error).message}`);
  }
  const config = parseResolvConf(text, port);
  if (config.servers.length === 0) throw new Error(`${path} names no DNS server: add a line \`nameserver ADDRESS\``);
  return config;
}

/** The names to look up for a name, in order (`ClientConfig.NameList`). */
export function nameList(name: string, { search, dots }: ResolverConfig): readonly string[] {
  if (name.endsWith(".")) return [name];
  const whole = `${name}.`;
  const others = search.map((domain) => `${whole}${domain.replace(/\.$/, "")}.`);
  const hasDots = name.split(".").length > dots;
  return hasDots ? [whole, ...others] : [...others, whole];
}

/**
 * The records of a name. Resolves to none when a server says that it has none of this type, or when all forms of the name
 * do not exist. Rejects when that is not certain.
 */
export async function lookUp(
  name: string,
  type: RecordType,
  config: ResolverConfig,
  signal: AbortSignal,
): Promise<readonly DnsRecord[]> {
  let failure: Error | undefined;
  for (const full of nameList(name, config)) {
    try {
      const records = await askServers(full, type, config.servers, signal);
      if (records !== undefined) return records;
    } catch (error) {
      signal.throwIfAborted();
      failure ??= error as Error;
    }
  }
  if (failure !== undefined) throw failure;
  return [];
}

/** Undefined for a name that does not exist. */
async function askServers(
  name: string,
  type: RecordType,
  servers: readonly string[],
  signal: AbortSignal,
): Promise<readonly DnsRecord[] | undefined> {
  const failures: string[] = [];
  for (const server of servers) {
    signal.throwIfAborted();
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 1 });
    const cancel = () => resolver.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      resolver.setServers([server]);
      return await ask(resolver, name, type);
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (code === NO_RECORDS) return [];
      if (code === NO_NAME) return undefined;
      failures.push(`${server} ${PROBLEMS[code] ?? `fails (${code || (error as Error).message})`}`);
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }
  throw new Error(`no DNS server can resolve ${name}: ${failures.join("; ")}`);
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "does not answer: nothing listens there",
  ETIMEOUT: "does not answer in time",
  ESERVFAIL: "answers SERVFAIL: it cannot reach the servers of this name",
  EREFUSED: "answers REFUSED: it does not serve this agent, or not this name",
  ENOTIMP: "answers NOTIMP: it does not know this type of record",
  EFORMERR: "answers FORMERR: it does not understand the question",
  EBADNAME: "is not asked: this is no name that DNS can have",
  EBADRESP: "sends a damaged answer",
};

async function ask(resolver: Resolver, name: string, type: RecordType): Promise<readonly DnsRecord[]> {
  const host = (each: string) => ({ host: each.replace(/\.+$/, ""), port: undefined });
  switch (type) {
    case "A":
      return (await resolver.resolve4(name)).map(host);
    case "AAAA":
      return (await resolver.resolve6(name)).map(host);
    case "MX":
      return (await resolver.resolveMx(name)).map(({ exchange }) => host(exchange));
    case "NS":
      return (await resolver.resolveNs(name)).map(host);
    case "SRV":
      return (await resolver.resolveSrv(name)).map((each) => ({ ...host(each.name), port: each.port }));
  }
}
