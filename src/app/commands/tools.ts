import { nearest } from "#lang/suggest";
import { type Command, EXIT } from "../cli.ts";
import { UsageError } from "../command-line.ts";
import { REMOTE_WRITE_TOOLS } from "./tools-remote-write.ts";

const COMPONENT = "prometheus.remote_write";

export const tools: Command = {
  usage: `invar tools ${COMPONENT} ${[...REMOTE_WRITE_TOOLS.keys()].join("|")} [flags] directory`,
  summary: "Tools of single components: what the queue of a prometheus.remote_write holds",
  flags: [
    {
      name: "selector",
      short: "s",
      type: "string",
      default: "{}",
      help: "sample-stats: only series that this PromQL selector matches",
    },
    { name: "job", short: "j", type: "string", default: "", help: "target-stats: the target's job" },
    { name: "instance", short: "i", type: "string", default: "", help: "target-stats: the target's instance" },
  ],
  positional: [0, 3],

  async run(line, terminal) {
    const [component, name, directory] = line.positional;
    if (component === undefined) {
      terminal.out(`${COMPONENT}: ${[...REMOTE_WRITE_TOOLS.keys()].join(", ")}\n`);
      return EXIT.ok;
    }
    const isKnown = component === COMPONENT;
    const tool = isKnown ? REMOTE_WRITE_TOOLS.get(name ?? "") : undefined;
    if (tool === undefined) {
      const words = isKnown ? [...REMOTE_WRITE_TOOLS.keys()] : [COMPONENT];
      const hint = nearest(isKnown ? (name ?? "") : component, words);
      const advice = hint === undefined ? `there is ${words.join(", ")}` : `did you mean ${hint}?`;
      throw new UsageError(`there is no tool "${line.positional.join(" ")}": ${advice}`);
    }
    if (directory === undefined) {
      throw new UsageError("accepts 1 arg(s), received 0: the folder of the component in the agent's --storage.path");
    }
    return tool(line, directory, terminal);
  },
};
