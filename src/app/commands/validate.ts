import { renderDiagnostics } from "#lang/render";
import { readConfiguration } from "../agent.ts";
import { type Command, EXIT, wantsColor } from "../cli.ts";
import { FEATURE_FLAGS, FORMAT_FLAGS } from "../run-flags.ts";
import { unstartedController } from "../unstarted/unstarted.ts";

/**
 * Goes as far as a load goes before anything runs: parses, resolves, evaluates, and builds each component without
 * letting its background work begin. Problems and warnings go to standard error.
 */
export const validate: Command = {
  usage: "invar validate [flags] path",
  summary: "Check a configuration without running it",
  flags: [...FORMAT_FLAGS, ...FEATURE_FLAGS],
  positional: [1, 1],

  async run(line, terminal) {
    const { sources, folder } = readConfiguration(line.positional[0]!);
    const controller = unstartedController(line, (message) => terminal.error(`Warning: ${message}\n`));
    const problems = await controller.check(sources, folder);
    if (problems.length === 0) return EXIT.ok;
    terminal.error(renderDiagnostics(problems, { color: wantsColor() }));
    return problems.some((each) => each.severity === "error") ? EXIT.failed : EXIT.ok;
  },
};
