import { errorText } from "#base/log";
import { DiagnosticError } from "#lang/diagnostic";
import { renderDiagnostics } from "#lang/render";
import { nearest } from "#lang/suggest";
import { describeFlags, type FlagSpec, type ParsedCommandLine, parseCommandLine, UsageError } from "./command-line.ts";
import type { OutputStyle } from "./terminal/table.ts";
import { VERSION } from "./version.ts";

/** Where a command writes. */
export interface Terminal {
  out(text: string): void;
  error(text: string): void;
}

/** Exit codes that scripts can use: all is well, the work failed, the command line is wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

export interface Command {
  readonly usage: string;
  readonly summary: string;
  readonly flags: readonly FlagSpec[];
  /** How many positional arguments it takes. */
  readonly positional: readonly [least: number, most: number];
  run(line: ParsedCommandLine, terminal: Terminal): Promise<number>;
}

/** In the order of the help: what runs and checks a configuration, then what looks at data. Loaded when asked for, so that `fmt` does not pay for the agent. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ["run", async () => (await import("./commands/run.ts")).run],
  ["validate", async () => (await import("./commands/validate.ts")).validate],
  ["fmt", async () => (await import("./commands/fmt.ts")).fmt],
  ["status", async () => (await import("./commands/status.ts")).status],
  ["top", async () => (await import("./commands/top.ts")).top],
  ["tap", async () => (await import("./commands/tap.ts")).tap],
  ["pipe", async () => (await import("./commands/pipe.ts")).pipe],
  ["graph", async () => (await import("./commands/graph.ts")).graph],
  ["convert", async () => (await import("./commands/convert.ts")).convert],
  ["positions", async () => (await import("./commands/positions.ts")).positions],
  ["tools", async () => (await import("./commands/tools.ts")).tools],
]);

/** Alloy's commands that are not there yet, with what to do instead. */
const MISSING: ReadonlyMap<string, string> = new Map([
  ["gql", "there is no GraphQL API; GET /api/v0/web/components gives the same as JSON"],
  ["graphql", "there is no GraphQL API; GET /api/v0/web/components gives the same as JSON"],
  ["otel", "OpenTelemetry Collector configurations are not run; write them as otelcol.* components"],
  ["otel-supervisor", "remote configuration is not supported yet"],
  ["completion", "shell completion is not generated yet"],
]);

const GLOBAL_FLAGS: readonly FlagSpec[] = [
  { name: "help", short: "h", type: "bool", default: false, help: "Show this help" },
];

/** Carries out a command line and resolves to the exit code. */
export async function runCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === "help" && rest[0] !== undefined && !rest[0].startsWith("-")) {
    return runCommand([rest[0], "--help"], terminal);
  }
  if (name === undefined || name === "help" || name === "--help" || name === "-h" || name === "-help") {
    terminal.out(await overview());
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (name === "--version" || name === "-v" || name === "-version" || name === "version") {
    terminal.out(
      `invar, version v${VERSION}\n  runtime: Node ${process.version}\n  platform: ${process.platform}/${process.arch}\n`,
    );
    return EXIT.ok;
  }
  const load = COMMANDS.get(name);
  if (load === undefined) {
    const missing = MISSING.get(name);
    const suggestion = nearest(name, [...COMMANDS.keys()]);
    const hint = suggestion === undefined ? "invar --help lists the commands" : `did you mean "${suggestion}"?`;
    terminal.error(
      missing === undefined
        ? `Error: unknown command "${name}": ${hint}\n`
        : `Error: ${name} is not supported yet: ${missing}\n`,
    );
    return EXIT.usage;
  }
  const command = await load();
  try {
    const line = parseCommandLine(rest, [...command.flags, ...GLOBAL_FLAGS]);
    if (line.flags.get("help") === true) {
      terminal.out(
        `${command.summary}\n\nUsage:\n  ${command.usage}\n\nFlags:\n${describeFlags([...command.flags, ...GLOBAL_FLAGS])}\n`,
      );
      return EXIT.ok;
    }
    const [least, most] = command.positional;
    if (line.positional.length < least || line.positional.length > most) {
      const wanted = least === most ? String(least) : `${least} to ${most}`;
      throw new UsageError(`accepts ${wanted} arg(s), received ${line.positional.length}`);
    }
    for (const warning of line.warnings) terminal.error(`Warning: ${warning}\n`);
    return await command.run(line, terminal);
  } catch (error) {
    if (error instanceof UsageError) {
      terminal.error(`Error: ${error.message}\nUsage: ${command.usage} (--help says more)\n`);
      return EXIT.usage;
    }
    terminal.error(
      error instanceof DiagnosticError
        ? renderDiagnostics(error.diagnostics, { color: wantsColor() })
        : `Error: ${errorText(error)}\n`,
    );
    return EXIT.failed;
  }
}

/** Colours on standard error where a person reads it, unless NO_COLOR says otherwise. */
export function wantsColor(): boolean {
  return process.stderr.isTTY === true && !process.env.NO_COLOR;
}

/** Colours and width for what goes to standard output: those of a terminal, or none. */
export function outputStyle(): OutputStyle {
  const { isTTY, columns } = process.stdout;
  if (isTTY !== true) return { color: false, columns: undefined };
  return { color: !process.env.NO_COLOR && process.env.TERM !== "dumb", columns: columns > 0 ? columns : undefined };
}

async function overview(): Promise<string> {
  const lines = [
    "Invar collects logs, metrics, traces and profiles and sends them on.",
    "",
    "Usage:",
    "  invar COMMAND [flags]",
    "",
    "Commands:",
  ];
  for (const [name, load] of COMMANDS) lines.push(`  ${name.padEnd(12)}${(await load()).summary}`);
  lines.push(
    "",
    "Flags:",
    "  -h, --help      Show this help",
    "  -v, --version   Show the version",
    "",
    "invar help COMMAND shows a command's flags.",
    "",
  );
  return lines.join("\n");
}
