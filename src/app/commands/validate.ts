import { type Diagnostic, DiagnosticError } from "#lang/diagnostic";
import { renderDiagnostics } from "#lang/render";
import { wiringWarnings } from "#runtime/wiring";
import { readConfiguration } from "../agent.ts";
import { type Command, EXIT, wantsColor } from "../cli.ts";
import type { ParsedCommandLine } from "../command-line.ts";
import { FEATURE_FLAGS, FORMAT_FLAGS } from "../run-flags.ts";
import { unstartedController } from "../unstarted/unstarted.ts";

/**
 * Goes as far as a load goes before anything runs: parses, resolves, evaluates, and builds each component without
 * letting its background work begin. Then it looks at how the blocks hang together, which makes warnings. Problems and
 * warnings go to standard error.
 */
export const validate: Command = {
  usage: "invar validate [flags] path",
  summary: "Check a configuration without running it",
  flags: [...FORMAT_FLAGS, ...FEATURE_FLAGS],
  positional: [1, 1],

  async run(line, terminal) {
    const problems = await problemsOf(line, (message) => terminal.error(`Warning: ${message}\n`));
    if (problems.length === 0) return EXIT.ok;
    terminal.error(renderDiagnostics(problems, { color: wantsColor() }));
    return problems.some((each) => each.severity === "error") ? EXIT.failed : EXIT.ok;
  },
};

async function problemsOf(line: ParsedCommandLine, warn: (message: string) => void): Promise<readonly Diagnostic[]> {
  const { sources, folder } = readConfiguration(line.positional[0]!);
  const controller = unstartedController(line, warn);
  try {
    await controller.load(sources, folder);
    return wiringWarnings(controller);
  } catch (error) {
    if (error instanceof DiagnosticError) return error.diagnostics;
    throw error;
  } finally {
    await controller.stop(0);
  }
}
