import { readFileSync, statSync, writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { type Command, EXIT, type Terminal } from "../cli.ts";
import type { ParsedCommandLine } from "../command-line.ts";
import { acceptanceProblems } from "../convert/acceptance.ts";
import { FORMAT_NAMES, sourceFormat } from "../convert/formats.ts";
import { convertPositions } from "../convert/positions.ts";
import { lineOf, Report } from "../convert/report.ts";

export const convert: Command = {
  usage: "invar convert --source-format=FORMAT [flags] [file]",
  summary: "Convert a configuration of Promtail, Prometheus or the OpenTelemetry Collector",
  flags: [
    {
      name: "output",
      short: "o",
      type: "string",
      default: "",
      help: "File to write the configuration to, instead of standard output",
    },
    {
      name: "report",
      short: "r",
      type: "string",
      default: "",
      help: "File to write the findings to, instead of standard error",
    },
    {
      name: "source-format",
      short: "f",
      type: "string",
      default: "",
      help: `What the file is a configuration of, required: ${FORMAT_NAMES.join(", ")}`,
    },
    {
      name: "bypass-errors",
      short: "b",
      type: "bool",
      default: false,
      help: "Write a configuration in spite of errors, without the settings that they name",
    },
    {
      name: "extra-args",
      short: "e",
      type: "string",
      default: "",
      help: "Flags that the program was started with, with spaces between them",
    },
    {
      name: "convert-positions",
      type: "string",
      default: "",
      help: "The program's positions file, to be put where the new configuration looks for positions; the agent must not run",
    },
    {
      name: "storage.path",
      type: "string",
      default: "data-alloy/",
      help: "Folder of the agent's queues and positions, for --convert-positions",
    },
  ],
  positional: [0, 1],

  async run(line, terminal) {
    const { positional } = line;
    const flag = (name: string) => String(line.flags.get(name));
    if (flag("source-format") === "") throw new Error("source-format is a required flag");
    const format = await sourceFormat(flag("source-format"));
    const text = await readSource(positional[0] ?? "-");
    const report = new Report();
    const bypass = line.flags.get("bypass-errors") === true;
    const conversion = format.convert(text, flag("extra-args").split(/\s+/).filter(Boolean), report);
    const output = conversion.text;
    const accepted = output !== undefined && report.allowsOutput(bypass);
    if (accepted) for (const problem of await acceptanceProblems(output)) report.add("Warning", "", problem);
    const positions = flag("convert-positions");
    if (accepted && positions !== "") convertPositions(positions, flag("storage.path"), conversion.readers, report);
    const written = accepted && report.allowsOutput(bypass);
    if (written) write(flag("output"), output, terminal);
    tell(line, report, bypass, terminal);
    return written ? EXIT.ok : EXIT.failed;
  },
};

async function readSource(path: string): Promise<string> {
  if (path === "-") return (await buffer(process.stdin)).toString("utf8");
  if (statSync(path).isDirectory()) throw new Error("cannot convert a directory");
  return readFileSync(path, "utf8");
}

function write(path: string, text: string, terminal: Terminal): void {
  if (path === "") terminal.out(text);
  else writeFileSync(path, text);
}

/** What came up goes to the report, or else to standard error; what prevents an output goes to both. */
function tell(line: ParsedCommandLine, report: Report, bypass: boolean, terminal: Terminal): void {
  const path = String(line.flags.get("report"));
  if (path !== "") writeFileSync(path, report.text(bypass));
  const failed = !report.allowsOutput(bypass);
  if (path !== "" && !failed) return;
  for (const text of path === "" && !failed ? report.findings.map(lineOf) : report.lines(bypass))
    terminal.error(`${text}\n`);
  if (failed) terminal.error(`Error: ${report.outcome(bypass)}\n`);
}
