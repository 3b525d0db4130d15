import type { RedisAddress } from "#kits/redis-connection";

/** What `redis_addr` says. */
export interface RedisTarget {
  readonly address: RedisAddress;
  readonly isTls: boolean;
  /** From the address itself; undefined where it has none. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  /** The address as messages show it: without a password. */
  readonly shown: string;
  /** The address as a key of the password map may write it; the user is put in by `passwordMapKey`. */
  readonly scheme: string;
  readonly userInfo: string;
  readonly rest: string;
}

const WITH_SCHEME = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\/(?:([^@/]*)@)?([^/]*)(.*)$/s;
const TLS_SCHEMES = new Set(["rediss", "valkeys"]);
const PLAIN_SCHEMES = new Set(["redis", "valkey", "tcp"]);

/**
 * Reads an address: `host:port`, `redis://[[user]:password@]host[:port][/database]`, `rediss://` with TLS, `valkey://`
 * and `valkeys://` for the same, `tcp://host:port`, `unix:///path`. Throws an error that completes "`redis_addr` …".
 * Matches redigo's `DialURL` and what redis_exporter's `connectToRedis` tries after it.
 */
export function parseRedisAddress(text: string): RedisTarget {
  const [, scheme = "", userInfo = "", host = "", rest = ""] =
    WITH_SCHEME.exec(text.includes("://") ? text : `redis://${text}`) ?? [];
  if (scheme === "unix") {
    if (rest === "") throw new Error("has no path; write unix:///path/to/redis.sock");
    const none = { isTls: false, user: undefined, password: undefined, database: 0 };
    return { ...none, address: { path: rest }, shown: rest, scheme, userInfo, rest: host + rest };
  }
  const isTls = TLS_SCHEMES.has(scheme);
  if (!isTls && !PLAIN_SCHEMES.has(scheme)) {
    throw new Error(`has a scheme that Redis does not know; use redis://, rediss:// (TLS) or unix://`);
  }
  const database = /^\/?(\d*)$/.exec(rest);
  if (database === null) throw new Error(`ends in ${rest}, which is no number of a database`);
  const { name, port } = splitHost(host);
  return {
    address: { host: name, port },
    isTls,
    ...credentials(userInfo),
    database: Number(database[1]),
    shown: showAddress({ host: name, port }),
    scheme: scheme.replace("valkey", "redis"),
    userInfo,
    rest: host + rest,
  };
}

/** An address as messages show it. */
export function showAddress(address: RedisAddress): string {
  if ("path" in address) return address.path;
  const { host, port } = address;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** What the password map calls the address, as redis_exporter's `lookupPasswordInPasswordMap` builds it. */
export function passwordMapKey(target: RedisTarget, user: string): string {
  const info = (user === "" ? target.userInfo : encodeURIComponent(user)).replace(/:$/, "");
  return `${target.scheme}://${info === "" ? "" : `${info}@`}${target.rest}`;
}

function splitHost(host: string): { name: string; port: number } {
  const parts = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(host);
  const isHost = URL.canParse(`http://${host.replace(/:\d*$/, "") || "localhost"}`);
  if (parts === null || !isHost) {
    throw new Error("names no host and port; write host:port, and [address]:port for IPv6");
  }
  const port = parts[3] === undefined || parts[3] === "" ? 6379 : Number(parts[3]);
  if (port < 1 || port > 65_535) throw new Error(`has the port ${port}, which is none`);
  return { name: parts[1] || parts[2] || "localhost", port };
}

/** A single word before the `@` is a password, as redis-cli has it. */
function credentials(userInfo: string): Pick<RedisTarget, "user" | "password"> {
  if (userInfo === "") return { user: undefined, password: undefined };
  const colon = userInfo.indexOf(":");
  try {
    if (colon < 0) return { user: undefined, password: decodeURIComponent(userInfo) };
    const user = decodeURIComponent(userInfo.slice(0, colon));
    return { user: user === "" ? undefined : user, password: decodeURIComponent(userInfo.slice(colon + 1)) };
  } catch {
    throw new Error("has a user or password with a % that begins no code; write % itself as %25");
  }
}
