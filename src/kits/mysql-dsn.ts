import { parseDuration } from "#base/duration";

/** How a connection is secured: `preferred` takes TLS where the server has it and never verifies. */
export type MysqlTls = "off" | "verify" | "skip-verify" | "preferred";

/** A data source name, read. */
export interface MysqlDsn {
  readonly user: string;
  readonly password: string;
  readonly network: "tcp" | "unix";
  /** `host:port`, or the path of a socket. */
  readonly address: string;
  readonly database: string;
  readonly tls: MysqlTls;
  /** Goes on without TLS when the server has none. */
  readonly allowPlaintext: boolean;
  readonly allowCleartextPasswords: boolean;
  readonly compress: boolean;
  readonly connectTimeoutMs: number | undefined;
  readonly readTimeoutMs: number | undefined;
  readonly connectionAttributes: ReadonlyMap<string, string>;
  /** System variables of the session, with values as SQL. */
  readonly variables: ReadonlyMap<string, string>;
}

/** What is wrong with a data source name, without anything of it that may be secret. */
export class MysqlDsnError extends Error {
  override readonly name = "MysqlDsnError";
}

/**
 * Parameters of the driver that change nothing for queries that read numbers and texts. What is read is always decoded
 * as UTF-8, whatever the character set.
 */
const WITHOUT_MEANING_HERE = new Set([
  ...["allowAllFiles", "charset", "checkConnLiveness", "clientFoundRows", "collation", "columnsWithAlias"],
  ...["interpolateParams", "loc", "maxAllowedPacket", "multiStatements", "parseTime", "rejectReadOnly"],
  ...["timeTruncate", "writeTimeout"],
]);

/**
 * Reads `[user[:password]@][network[(address)]]/database[?name=value&…]`. Throws a MysqlDsnError.
 * Matches `ParseDSN` of github.com/go-sql-driver/mysql.
 */
export function parseMysqlDsn(text: string): MysqlDsn {
  // The last slash, since the password and the path of a socket may hold others.
  const slash = text.lastIndexOf("/");
  if (slash < 0 && text !== "") {
    throw new MysqlDsnError("has no slash before the name of the database; write user:password@tcp(host:3306)/");
  }
  const left = text.slice(0, Math.max(slash, 0));
  const at = left.lastIndexOf("@");
  const login = left.slice(0, Math.max(at, 0));
  const colon = login.indexOf(":");
  const [database = "", ...parameters] = text.slice(slash + 1).split("?");
  return {
    user: colon < 0 ? login : login.slice(0, colon),
    password: colon < 0 ? "" : login.slice(colon + 1),
    ...parseAddress(left.slice(at + 1)),
    database: decode(database, "the name of the database"),
    ...parseParameters(parameters.join("?")),
  };
}

/** As Alloy labels the server: `network(address)/database`. */
export function mysqlInstance({ network, address, database }: MysqlDsn): string {
  return `${network}(${address})/${database}`;
}

function parseAddress(text: string): Pick<MysqlDsn, "network" | "address"> {
  const open = text.indexOf("(");
  if (open >= 0 && !text.endsWith(")")) {
    throw new MysqlDsnError("has a ( after the network and no ) at the end of the address; write tcp(host:3306)/");
  }
  const network = (open < 0 ? text : text.slice(0, open)) || "tcp";
  const address = open < 0 ? "" : text.slice(open + 1, -1);
  if (network === "unix") return { network, address: address || "/tmp/mysql.sock" };
  if (network !== "tcp") {
    throw new MysqlDsnError("has a network that is not supported; use tcp(host:port) or unix(/path/to/socket)");
  }
  if (address === "") return { network, address: "127.0.0.1:3306" };
  // An IPv6 address without brackets has several colons.
  const hasPort = /^(?:\[[^\]]*\]|[^:]*):\d*$/.test(address);
  const bare = /^[^[]*:[^[]*:/.test(address) ? `[${address}]` : address;
  if (!URL.canParse(`http://${hasPort ? address : bare}`)) {
    throw new MysqlDsnError("names no host that there can be; write tcp(host:3306)");
  }
  return { network, address: hasPort ? address : `${bare}:3306` };
}

function parseParameters(text: string): Omit<MysqlDsn, "user" | "password" | "network" | "address" | "database"> {
  const given = new Map<string, string>();
  const variables = new Map<string, string>();
  for (const parameter of text.split("&")) {
    const equals = parameter.indexOf("=");
    if (equals < 0) continue;
    const name = parameter.slice(0, equals);
    const value = parameter.slice(equals + 1);
    if (WITHOUT_MEANING_HERE.has(name)) continue;
    if (KNOWN.has(name)) given.set(name, value);
    else if (!/^[A-Za-z_][\w@.]*$/.test(name))
      throw new MysqlDsnError("has a parameter whose name is no system variable");
    else variables.set(name, decode(value.replaceAll("+", " "), `the parameter ${name}`));
  }
  const flag = (name: string, fallback: boolean) => parseFlag(name, given.get(name), fallback);
  const time = (name: string) => parseTime(name, given.get(name));
  if (flag("allowOldPasswords", false)) {
    throw new MysqlDsnError("asks for the passwords of before MySQL 4.1 (allowOldPasswords), which are not supported");
  }
  if (!flag("allowNativePasswords", true)) {
    throw new MysqlDsnError("forbids a kind of login (allowNativePasswords=false), which is not supported; remove it");
  }
  if (given.has("serverPubKey")) {
    throw new MysqlDsnError("names a server's public key (serverPubKey), which only a program can register; remove it");
  }
  if (given.has("strict")) throw new MysqlDsnError("has the parameter strict, which the driver removed; remove it");
  const tls = parseTls(given.get("tls"));
  return {
    tls,
    allowPlaintext: tls === "preferred" || flag("allowFallbackToPlaintext", false),
    allowCleartextPasswords: flag("allowCleartextPasswords", false),
    compress: flag("compress", false),
    connectTimeoutMs: time("timeout"),
    readTimeoutMs: time("readTimeout"),
    connectionAttributes: parseAttributes(decode(given.get("connectionAttributes") ?? "", "connectionAttributes")),
    variables,
  };
}

const KNOWN = new Set([
  ...["allowCleartextPasswords", "allowFallbackToPlaintext", "allowNativePasswords", "allowOldPasswords", "compress"],
  ...["connectionAttributes", "readTimeout", "serverPubKey", "strict", "timeout", "tls"],
]);

const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ...["1", "true", "TRUE", "True"].map((text) => [text, true] as const),
  ...["0", "false", "FALSE", "False"].map((text) => [text, false] as const),
]);

function parseFlag(name: string, value: string | undefined, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  const flag = FLAGS.get(value);
  if (flag === undefined) throw new MysqlDsnError(`has a ${name} that is neither true nor false`);
  return flag;
}

function parseTime(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  try {
    return parseDuration(value);
  } catch {
    throw new MysqlDsnError(`has a ${name} that is no duration; write 5s`);
  }
}

function parseTls(value: string | undefined): MysqlTls {
  if (value === undefined) return "off";
  const flag = FLAGS.get(value);
  if (flag !== undefined) return flag ? "verify" : "off";
  const mode = value.toLowerCase();
  if (mode === "skip-verify" || mode === "preferred") return mode;
  throw new MysqlDsnError(
    "has a tls mode that only a program can register; use true, skip-verify or preferred, and the system's certificates",
  );
}

/** `name:value,name:value` */
function parseAttributes(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const pair of text.split(",")) {
    const colon = pair.indexOf(":");
    if (colon > 0) found.set(pair.slice(0, colon), pair.slice(colon + 1));
  }
  return found;
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new MysqlDsnError(`has a % in ${what} that begins no code; write % itself as %25`);
  }
}
