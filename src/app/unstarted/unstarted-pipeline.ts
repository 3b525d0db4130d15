import { DiagnosticError } from "#lang/diagnostic";
import { Topology } from "#runtime/topology";
import { wiringOf } from "#runtime/wiring";
import { readConfiguration } from "../agent.ts";
import { NO_FIGURES } from "../api/flow.ts";
import type { PipelineJson } from "../api/json.ts";
import { pipelineJson } from "../api/pipeline.ts";
import { hideSecrets, withoutUrlSecrets } from "../api/redact.ts";
import type { ParsedCommandLine } from "../command-line.ts";
import { unstartedController } from "./unstarted.ts";

/**
 * The graph of a configuration that does not run. `warn` gets what a load would log as warnings, and what is wrong with
 * the wiring. Rejects with a DiagnosticError, secrets hidden, or with an Error that says what to do.
 */
export async function pipelineOfPath(
  path: string,
  moduleId: string,
  line: ParsedCommandLine,
  warn: (message: string) => void,
): Promise<PipelineJson> {
  const controller = unstartedController(line, warn);
  const { sources, folder } = readConfiguration(path);
  try {
    await controller.load(sources, folder);
    const topology = new Topology(controller.root);
    const drawn = pipelineJson(topology, moduleId, NO_FIGURES);
    if (drawn === undefined)
      throw new Error(`${path} has no module "${moduleId}"; --format=json without --module lists those there are`);
    for (const [id, problem] of wiringOf(topology)) warn(`${id}: ${problem}`);
    return withoutFlow(drawn);
  } catch (error) {
    throw error instanceof DiagnosticError ? new DiagnosticError(hideSecrets(error.diagnostics)) : error;
  } finally {
    await controller.stop(0);
  }
}

/** Nothing runs, so nothing is said of how it goes. */
function withoutFlow(drawn: PipelineJson): PipelineJson {
  const nodes = drawn.nodes.map((node) => ({ ...node, state: null, cause: "", rates: null }));
  return JSON.parse(withoutUrlSecrets(JSON.stringify({ ...drawn, nodes }))) as PipelineJson;
}
