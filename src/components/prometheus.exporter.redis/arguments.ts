import { type Infer, s } from "#lang/schema";
import { parseRedisAddress } from "./address.ts";
import { parseKeys } from "./key-arguments.ts";

const flag = (text: string) => s.bool().default(false).doc(text);
const text = (documentation: string) => s.string().default("").doc(documentation);
const texts = (documentation: string) => s.list(s.string()).default([]).doc(documentation);

const KEYS = "each `key` of database 0 or `dbN=key`, URL-encoded";

/** As in Alloy's `internal/component/prometheus/exporter/redis/redis.go`. */
export const redisArguments = s
  .object({
    include_exporter_metrics: flag("Report metrics about the scrapes themselves too."),
    redis_addr: s
      .string()
      .doc("The server: `host:port`, `redis://`, `rediss://` (TLS), `valkey://`, `valkeys://` or `unix:///path`."),
    redis_user: text("User of Redis's ACL, from Redis 6 on."),
    redis_password: s.secret().default("").doc("Password of the server or of the user."),
    redis_password_file: text("File with the password; read again when it changes, and used before `redis_password`."),
    redis_password_map_file: text("JSON file with an object from addresses to passwords; read again when it changes."),
    namespace: s.string().default("redis").doc("First part of the names of all metrics."),
    config_command: s.string().default("CONFIG").doc("What the server calls its CONFIG command; `-` to leave it out."),
    check_keys: texts(`Patterns of keys to report size and value of, found with SCAN; ${KEYS}.`),
    check_key_groups: texts("Lua patterns whose captures put every key of the server into a group."),
    check_key_groups_batch_size: s.int(1).default(10_000).doc("How many keys one SCAN looks at."),
    max_distinct_key_groups: s.int(0).default(100).doc("Groups of a database that are reported; the rest is one more."),
    check_single_keys: texts(`Keys to report size and value of; ${KEYS}.`),
    check_streams: texts(`Patterns of streams to report, found with SCAN; ${KEYS}.`),
    check_single_streams: texts(`Streams to report; ${KEYS}.`),
    export_key_values: s
      .bool()
      .default(true)
      .doc("Report the values of checked keys, as a label if they are no number."),
    count_keys: texts(`Patterns of keys to count; ${KEYS}.`),
    script_path: text("Lua script whose results are metrics; several are separated by commas."),
    script_paths: texts("Lua scripts whose results are metrics."),
    connection_timeout: s.duration().default("15s").doc("Longest that connecting and each answer may take."),
    tls_client_key_file: text("File with the key of the client certificate."),
    tls_client_cert_file: text("File with the client certificate."),
    tls_ca_cert_file: text("File with the authority that signed the server's certificate, in place of the system's."),
    set_client_name: s.bool().default(true).doc("Call the connection `redis_exporter` on the server."),
    is_tile38: flag("The server is Tile38: report what it says about itself."),
    is_cluster: flag("The server belongs to a cluster: look for keys and streams on all of its nodes."),
    export_client_list: flag("Report every client of the server."),
    export_client_port: flag("Report the ports of clients, each of which is a series of its own."),
    redis_metrics_only: flag("Leave out metrics about the scrapes, whatever `include_exporter_metrics` says."),
    ping_on_connect: flag("Report how long a PING takes."),
    incl_system_metrics: flag("Report the memory of the server's machine."),
    skip_tls_verification: flag("Do not verify the server's certificate."),
  })
  .rule("redis_addr", ({ redis_addr }) => redis_addr !== "", "is empty; name the server, such as `localhost:6379`")
  .rule(
    "redis_addr",
    ({ redis_addr }) => redis_addr === "" || problemOf(() => parseRedisAddress(redis_addr)) === undefined,
    ({ redis_addr }) => problemOf(() => parseRedisAddress(redis_addr)) ?? "",
  )
  .rule(
    "namespace",
    ({ namespace }) => /^(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?$/.test(namespace),
    "is not the beginning of a metric's name; use letters, digits and underscores",
  )
  .rule("connection_timeout", (args) => args.connection_timeout > 0, "must be longer than nothing")
  .rule("script_paths", (args) => args.script_path === "" || args.script_paths.length === 0, exclude("script_path"))
  .rule(
    "redis_password_map_file",
    (args) => args.redis_password_file === "" || args.redis_password_map_file === "",
    exclude("redis_password_file"),
  )
  .rule(
    "tls_client_key_file",
    (args) => (args.tls_client_key_file === "") === (args.tls_client_cert_file === ""),
    "and `tls_client_cert_file` belong together; give both or neither",
  )
  .rule("check_keys", keysAreRight("check_keys"), keysProblem("check_keys"))
  .rule("check_single_keys", keysAreRight("check_single_keys"), keysProblem("check_single_keys"))
  .rule("check_streams", keysAreRight("check_streams"), keysProblem("check_streams"))
  .rule("check_single_streams", keysAreRight("check_single_streams"), keysProblem("check_single_streams"))
  .rule("count_keys", keysAreRight("count_keys"), keysProblem("count_keys"));

export type RedisArguments = Infer<typeof redisArguments>;

type KeyArgument = "check_keys" | "check_single_keys" | "check_streams" | "check_single_streams" | "count_keys";
type KeyArguments = { readonly [K in KeyArgument]: readonly string[] };

function exclude(other: string): string {
  return `and \`${other}\` exclude each other; remove one of them`;
}

function keysAreRight(name: KeyArgument) {
  return (args: KeyArguments) => problemOf(() => parseKeys(args[name])) === undefined;
}
function keysProblem(name: KeyArgument) {
  return (args: KeyArguments) => problemOf(() => parseKeys(args[name])) ?? "";
}

function problemOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
