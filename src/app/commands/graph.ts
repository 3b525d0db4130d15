import type { PipelineJson } from "../api/json.ts";
import { type Command, EXIT } from "../cli.ts";
import { UsageError } from "../command-line.ts";
import { FEATURE_FLAGS, FORMAT_FLAGS } from "../run-flags.ts";
import { AgentClient, CLIENT_FLAGS } from "../terminal/agent-client.ts";
import { dotText, mermaidText } from "../terminal/graph-text.ts";

export const graph: Command = {
  usage: "invar graph [flags] [path]",
  summary: "Draw the pipeline of a running agent, or of a configuration without running it",
  flags: [
    {
      name: "format",
      type: "enum",
      values: ["mermaid", "dot", "json"],
      default: "mermaid",
      help: "Language of the drawing",
    },
    {
      name: "module",
      type: "string",
      default: "",
      help: "Id of the module to draw, such as that of a custom component",
    },
    ...CLIENT_FLAGS,
    ...FORMAT_FLAGS,
    ...FEATURE_FLAGS,
  ],
  positional: [0, 1],

  async run(line, terminal) {
    const [path] = line.positional;
    const moduleId = line.flags.get("module") as string;
    if (path !== undefined && line.given.has("server"))
      throw new UsageError("a path draws a configuration, --server a running agent: give one of them");
    const warn = (message: string) => terminal.error(`Warning: ${message}\n`);
    const drawn =
      path === undefined
        ? await AgentClient.fromCommandLine(line).json<PipelineJson>(
            "pipeline",
            moduleId === "" ? {} : { module: moduleId },
          )
        : await (await import("../unstarted/unstarted-pipeline.ts")).pipelineOfPath(path, moduleId, line, warn);
    terminal.out(drawing(drawn, line.flags.get("format") as string));
    return EXIT.ok;
  },
};

function drawing(drawn: PipelineJson, format: string): string {
  if (format === "json") return `${JSON.stringify(drawn, null, 2)}\n`;
  return format === "dot" ? dotText(drawn) : mermaidText(drawn);
}
