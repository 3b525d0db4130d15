import { type Command, EXIT } from "../cli.ts";
import { UsageError } from "../command-line.ts";

const WAL_TOOLS = ["sample-stats", "target-stats", "wal-stats"];

/** Alloy's tools look into Prometheus's write-ahead log; the disk queue that takes its place has another form. */
export const tools: Command = {
  usage: "invar tools COMPONENT SUBCOMMAND [flags]",
  summary: "Tools of single components; there are none yet",
  flags: [],
  positional: [0, 3],

  async run(line, terminal) {
    const [component, subcommand] = line.positional;
    if (component === undefined) {
      terminal.out("No component has tools yet.\n");
      return EXIT.ok;
    }
    if (component === "prometheus.remote_write" && WAL_TOOLS.includes(subcommand ?? "")) {
      terminal.error(
        `Error: tools ${component} ${subcommand} is not supported yet: samples wait in a disk queue, not in a write-ahead log; ` +
          "GET /api/v0/web/components/prometheus.remote_write.LABEL shows what waits for each endpoint\n",
      );
      return EXIT.failed;
    }
    throw new UsageError(`there is no tool "${line.positional.join(" ")}"`);
  },
};
