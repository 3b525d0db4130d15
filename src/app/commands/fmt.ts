import { readFileSync, writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { formatFile } from "#lang/format";
import { parseFile } from "#lang/parser";
import { decodeSource } from "#lang/position";
import { renderDiagnostics } from "#lang/render";
import { type Command, EXIT, wantsColor } from "../cli.ts";
import { UsageError } from "../command-line.ts";

export const fmt: Command = {
  usage: "invar fmt [flags] [file]",
  summary: "Format a configuration file, or standard input",
  flags: [
    {
      name: "write",
      short: "w",
      type: "bool",
      default: false,
      help: "Write the result to the file instead of to standard output",
    },
    {
      name: "test",
      short: "t",
      type: "bool",
      default: false,
      help: "Write nothing; exit with 1 if the file is not formatted",
    },
  ],
  positional: [0, 1],

  async run(line, terminal) {
    const [path = "-"] = line.positional;
    const write = line.flags.get("write") === true;
    const test = line.flags.get("test") === true;
    if (write && test) throw new UsageError("the -w and -t flags cannot both be set");
    if (write && path === "-") throw new UsageError("-w needs a file; standard input cannot be written");
    const bytes = path === "-" ? await buffer(process.stdin) : readFileSync(path);
    const source = decodeSource(path === "-" ? "<stdin>" : path, bytes);
    const { file, diagnostics } = parseFile(source);
    if (diagnostics.some((each) => each.severity === "error")) {
      terminal.error(renderDiagnostics(diagnostics, { color: wantsColor() }));
      return EXIT.failed;
    }
    const formatted = formatFile(file);
    if (test) {
      if (formatted === source.text) return EXIT.ok;
      terminal.error(`Error: ${source.name} is not formatted; invar fmt -w ${path} formats it\n`);
      return EXIT.failed;
    }
    if (!write) terminal.out(formatted);
    else if (formatted !== source.text) writeFileSync(path, formatted);
    return EXIT.ok;
  },
};
