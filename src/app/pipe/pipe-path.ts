import { DiagnosticError } from "#lang/diagnostic";
import type { Controller } from "#runtime/controller";
import { readConfiguration } from "../agent.ts";
import { hideSecrets } from "../api/redact.ts";
import type { ParsedCommandLine } from "../command-line.ts";
import { unstartedController } from "../unstarted/unstarted.ts";
import { EntryReader, type InputEntry, InputError, parseLabels, readSamples } from "./input.ts";
import type { PipeCounts, PipeRequest } from "./pipe-request.ts";
import { PipeRun } from "./pipe-run.ts";
import type { PipeRenderer } from "./render.ts";
import { findSubject } from "./subject.ts";
import type { TextOutput } from "./text-output.ts";

/** Entries that are fed before their results are written. */
const PART = 256;

/**
 * Feeds standard input, as it comes, to a copy of a component of a configuration that does not run. `line` has the
 * FEATURE_FLAGS. Rejects with a DiagnosticError, secrets hidden, or with an Error that says what to do.
 */
export async function pipeThroughPath(
  path: string,
  line: ParsedCommandLine,
  request: PipeRequest,
  renderer: PipeRenderer,
  output: TextOutput,
): Promise<PipeCounts> {
  const controller = unstartedController(line, () => {}); // invar validate shows warnings
  try {
    await load(controller, path);
    const run = new PipeRun(findSubject(controller, request.component), {
      trace: request.trace,
      check: () => {},
      show: (result) => output.write(request.trace ? renderer.trace(result) : renderer.output(result)),
    });
    const problem = await feedStandardInput(run, request, output);
    const { received, sent, dropped } = run;
    return { received, sent, dropped, ...(problem !== undefined && { problem }) };
  } finally {
    await controller.stop(0);
  }
}

async function load(controller: Controller, path: string): Promise<void> {
  const { sources, folder } = readConfiguration(path);
  try {
    await controller.load(sources, folder);
  } catch (error) {
    throw error instanceof DiagnosticError ? new DiagnosticError(hideSecrets(error.diagnostics)) : error;
  }
}

/** Feeds what there is until the end, Ctrl-C, or what cannot be read, which is returned. */
async function feedStandardInput(
  run: PipeRun,
  { labels, input }: PipeRequest,
  output: TextOutput,
): Promise<InputError | undefined> {
  const stopReading = () => void process.stdin.destroy();
  process.once("SIGINT", stopReading);
  try {
    const given = parseLabels(labels);
    if (run.signal === "metrics") {
      await run.feedSamples(readSamples(await wholeInput(), input, given, run.series, run.clock.now()));
    } else {
      const reader = new EntryReader(input, given, () => run.clock.now());
      for await (const chunk of standardInput()) {
        await feed(run, reader.read(chunk), output);
        if (output.closed) break;
      }
      await feed(run, reader.end(), output);
    }
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  } finally {
    process.off("SIGINT", stopReading);
    await run.finish();
  }
}

/** Ends as well when reading is stopped by `destroy`. */
async function* standardInput(): AsyncGenerator<Buffer> {
  try {
    yield* process.stdin as AsyncIterable<Buffer>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  }
}

async function wholeInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of standardInput()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Feeds what can be read, also what stands before a line that cannot. */
async function feed(run: PipeRun, entries: Iterable<InputEntry>, output: TextOutput): Promise<void> {
  const part: InputEntry[] = [];
  const pass = async () => {
    await run.feed(part.splice(0));
    await output.drained();
  };
  try {
    for (const entry of entries) {
      part.push(entry);
      if (part.length >= PART) await pass();
      if (output.closed) return;
    }
  } finally {
    await pass();
  }
}
