import { type Command, EXIT, outputStyle } from "../cli.ts";
import { type ParsedCommandLine, UsageError } from "../command-line.ts";
import type { PipeRequest } from "../pipe/pipe-request.ts";
import type { PipeFormat } from "../pipe/render.ts";
import { FEATURE_FLAGS } from "../run-flags.ts";
import { AgentClient, CLIENT_FLAGS } from "../terminal/agent-client.ts";

export const pipe: Command = {
  usage: "invar pipe --component ID [flags] [path]",
  summary: "Feed standard input to a copy of one component and show what comes out",
  flags: [
    { name: "component", short: "c", type: "string", default: "", help: "Component to feed, such as loki.process.x" },
    {
      name: "config",
      type: "string",
      default: "",
      help: "Configuration that the component stands in, instead of that of the running agent; nothing of it runs",
    },
    { name: "trace", short: "t", type: "bool", default: false, help: "Show what each stage does to each entry" },
    {
      name: "format",
      type: "enum",
      values: ["pretty", "logfmt", "json"],
      default: "pretty",
      help: "Form of the output",
    },
    { name: "labels", type: "string", default: "", help: "Labels of the entries, such as '{app=\"web\"}'" },
    {
      name: "input",
      type: "enum",
      values: ["lines", "json"],
      default: "lines",
      help: "What standard input holds: lines, or an object a line with line, labels, timestamp and metadata",
    },
    ...CLIENT_FLAGS,
    ...FEATURE_FLAGS,
  ],
  positional: [0, 1],

  async run(line, terminal) {
    const path = pathOf(line);
    const request = await readRequest(line);
    const { PipeRenderer } = await import("../pipe/render.ts");
    const { TextOutput } = await import("../pipe/text-output.ts");
    const renderer = new PipeRenderer(line.flags.get("format") as PipeFormat, outputStyle(), request.component);
    const output = new TextOutput(process.stdout);
    if (process.stdin.isTTY) terminal.error("Reading from the keyboard; Ctrl-D ends the input.\n");
    const counts =
      path === undefined
        ? await (await import("../pipe/pipe-agent.ts")).pipeThroughAgent(
            AgentClient.fromCommandLine(line),
            request,
            renderer,
            output,
          )
        : await (await import("../pipe/pipe-path.ts")).pipeThroughPath(path, line, request, renderer, output);
    await output.end();
    terminal.error(summary(request.component, counts));
    if (counts.problem !== undefined) throw counts.problem;
    return EXIT.ok;
  },
};

/** The configuration to read; undefined for the running agent's. */
function pathOf({ flags, given, positional }: ParsedCommandLine): string | undefined {
  const [path] = positional;
  if (given.has("config") && path !== undefined)
    throw new UsageError("the configuration is given twice, with --config and after the flags: leave one out");
  const found = path ?? (given.has("config") ? (flags.get("config") as string) : undefined);
  if (found !== undefined && given.has("server"))
    throw new UsageError("a path takes the component from a configuration, --server from a running agent: give one");
  return found;
}

async function readRequest({ flags }: ParsedCommandLine): Promise<PipeRequest> {
  const component = flags.get("component") as string;
  if (component === "") throw new UsageError("--component is needed: it says what standard input is fed to");
  const labels = flags.get("labels") as string;
  const { InputError, parseLabels } = await import("../pipe/input.ts");
  try {
    parseLabels(labels);
  } catch (error) {
    throw error instanceof InputError ? new UsageError(error.message) : error;
  }
  return { component, labels, input: flags.get("input") as PipeRequest["input"], trace: flags.get("trace") === true };
}

interface Counts {
  readonly received: number;
  readonly sent: number;
  readonly dropped: Readonly<Record<string, number>>;
}

function summary(component: string, { received, sent, dropped }: Counts): string {
  const reasons = Object.entries(dropped).sort(([a], [b]) => (a < b ? -1 : 1));
  const count = reasons.reduce((sum, [, items]) => sum + items, 0);
  const why = reasons.length === 0 ? "" : ` (${reasons.map(([reason, items]) => `${reason} ${items}`).join(", ")})`;
  const rest = received - sent - count;
  const joined = rest > 0 ? `, ${rest} joined with others or kept` : "";
  return `${component}: ${received} in, ${sent} out, ${count} dropped${why}${joined}\n`;
}
