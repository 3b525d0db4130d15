import { nearest } from "#lang/suggest";
import { Text } from "../environment.ts";
import type { Report, Severity } from "../report.ts";
import { setField } from "../settings.ts";
import type { YamlMap } from "../yaml-tree.ts";

/** What a flag of Promtail's command line is: a setting of the file, or something to be told. */
type FlagMeaning =
  | { readonly path: readonly string[]; readonly bool?: boolean }
  | { readonly severity: Severity; readonly message: string; readonly bool?: boolean };

function setting(path: string, bool = false): FlagMeaning {
  return { path: path.split("."), bool };
}

function nothing(message: string, bool = false): FlagMeaning {
  return { severity: "Info", message, bool };
}

const EXPAND = "config.expand-env";
const LABELS = "client.external-labels";

/** Flags of Promtail 3 (clients/pkg/promtail/config and cmd/promtail), by their names without dashes. */
const FLAGS: ReadonlyMap<string, FlagMeaning> = new Map([
  ["client.url", setting("client.url")],
  ["client.batch-wait", setting("client.batchwait")],
  ["client.batch-size-bytes", setting("client.batchsize")],
  ["client.max-retries", setting("client.backoff_config.max_retries")],
  ["client.min-backoff", setting("client.backoff_config.min_period")],
  ["client.max-backoff", setting("client.backoff_config.max_period")],
  ["client.timeout", setting("client.timeout")],
  ["client.tenant-id", setting("client.tenant_id")],
  ["client.drop-rate-limited-batches", setting("client.drop_rate_limited_batches", true)],
  ["positions.file", setting("positions.filename")],
  ["positions.sync-period", setting("positions.sync_period")],
  ["positions.ignore-invalid-yaml", setting("positions.ignore_invalid_yaml", true)],
  ["target.sync-period", setting("target_config.sync_period")],
  ["stdin", setting("target_config.stdin", true)],
  ["limit.readline-rate", setting("limits_config.readline_rate")],
  ["limit.readline-burst", setting("limits_config.readline_burst")],
  ["limit.readline-rate-enabled", setting("limits_config.readline_rate_enabled", true)],
  ["limit.readline-rate-drop", setting("limits_config.readline_rate_drop", true)],
  ["max-streams", setting("limits_config.max_streams")],
  ["max-line-size", setting("limits_config.max_line_size")],
  ["max-line-size-truncate", setting("limits_config.max_line_size_truncate", true)],
  ["file-watch.min_poll_frequency", setting("global.file_watch_config.min_poll_frequency")],
  ["file-watch.max_poll_frequency", setting("global.file_watch_config.max_poll_frequency")],
  ["server.http-listen-address", setting("server.http_listen_address")],
  ["server.http-listen-port", setting("server.http_listen_port")],
  ["server.path-prefix", setting("server.http_path_prefix")],
  ["server.profiling_enabled", setting("server.profiling_enabled", true)],
  ["server.enable-runtime-reload", setting("server.enable_runtime_reload", true)],
  ["server.disable", setting("server.disable", true)],
  ["log.level", setting("server.log_level")],
  ["log.format", setting("server.log_format")],
  ["tracing.enabled", setting("tracing.enabled", true)],
  ["client.stream-lag-labels", nothing("Promtail has no longer used it since 2.8")],
  ["config.file", nothing("the file is the argument of convert")],
  ["dry-run", nothing("invar pipe shows what a pipeline makes of lines, and sends nothing", true)],
  ["inspect", nothing("invar pipe --trace shows what each stage makes of a line", true)],
  ["check-syntax", nothing("invar validate checks a configuration", true)],
  ["print-config-stderr", nothing("there is no such flag", true)],
  ["log-config-reverse-order", nothing("there is no such flag", true)],
  ["print-config-stdout", nothing("there is no such flag", true)],
  ["version", nothing("invar --version shows it", true)],
  ["wal-dir", nothing("the disk queue is in the folder of --storage.path")],
]);

interface Flag {
  readonly name: string;
  readonly value: string;
}

/** The flags among `--extra-args`, as Go's package flag reads them: one dash or two, `-name=value` or `-name value`. */
export function readFlags(args: readonly string[], report: Report): readonly Flag[] {
  const flags: Flag[] = [];
  for (let i = 0; i < args.length; i++) {
    const match = /^--?([^=]+)(?:=(.*))?$/s.exec(args[i]!);
    if (match === null) {
      report.add("Error", "--extra-args", `"${args[i]}" is no flag`);
      continue;
    }
    const [, name, inline] = match;
    const isBool = name === EXPAND || FLAGS.get(name!)?.bool === true;
    flags.push({ name: name!, value: inline ?? (isBool ? "true" : (args[++i] ?? "")) });
  }
  return flags;
}

/** Whether `${VAR}` is replaced: it has to be known before the file is read. */
export function expandsEnvironment(flags: readonly Flag[]): boolean {
  return flags.some((flag) => flag.name === EXPAND && /^(1|t|T|true|TRUE|True)$/.test(flag.value));
}

/** Puts the flags into the settings of the file, over which they win, as in Promtail. */
export function applyFlags(root: YamlMap, flags: readonly Flag[], report: Report): void {
  for (const { name, value } of flags) {
    if (name === EXPAND) continue;
    if (name === LABELS) {
      externalLabels(root, value, report);
      continue;
    }
    const meaning = FLAGS.get(name);
    if (meaning === undefined) {
      const similar = nearest(name, [...FLAGS.keys(), EXPAND, LABELS]);
      const hint = similar === undefined ? "" : `; is it meant to be -${similar}?`;
      if (name.startsWith("server."))
        report.add("Info", `-${name}`, "it is about Promtail's own server, and has no counterpart");
      else report.add("Error", `-${name}`, `this flag is not known, and is left out${hint}`);
    } else if ("message" in meaning) report.add(meaning.severity, `-${name}`, meaning.message);
    else
      setField(
        root,
        meaning.path,
        { kind: "scalar", text: new Text([value]), plain: true, line: undefined },
        `-${name}`,
      );
  }
}

/** Labels for every client; a client's own labels win. */
function externalLabels(root: YamlMap, value: string, report: Report): void {
  const clients = root.fields.get("clients")?.value;
  const maps = clients?.kind === "list" ? clients.items : [];
  const single = root.fields.get("client")?.value;
  for (const pair of value.split(",")) {
    const equals = pair.indexOf("=");
    if (equals <= 0) {
      report.add("Error", `-${LABELS}`, "must be of the form name=value, with commas between several; it is left out");
      continue;
    }
    const label = pair.slice(0, equals).replace(/^"/, "");
    const text = new Text([pair.slice(equals + 1).replace(/"$/, "")]);
    for (const client of single === undefined ? maps : [...maps, single]) {
      if (client.kind !== "map") continue;
      const own = client.fields.get("external_labels")?.value;
      if (own?.kind === "map" && own.fields.has(label)) continue;
      const scalar = { kind: "scalar", text, plain: false, line: undefined } as const;
      setField(client, ["external_labels", label], scalar, `-${LABELS}`);
    }
  }
}
