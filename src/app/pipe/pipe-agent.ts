import type { PipeJson } from "../api/json.ts";
import type { AgentClient } from "../terminal/agent-client.ts";
import { MAX_BODY_BYTES, type PipeCounts, type PipeRequest } from "./pipe-request.ts";
import type { PipeRenderer } from "./render.ts";
import type { PipeResult } from "./results.ts";
import type { TextOutput } from "./text-output.ts";

/** Has a running agent feed standard input to a copy of one of its components. Rejects with an AgentError. */
export async function pipeThroughAgent(
  client: AgentClient,
  { component, labels, input, trace }: PipeRequest,
  renderer: PipeRenderer,
  output: TextOutput,
): Promise<PipeCounts> {
  const body = await standardInput();
  const query = { component, labels, input, trace: String(trace) };
  const { entries, samples, ...counts } = await client.json<PipeJson>("pipe", query, undefined, body);
  const results: PipeResult[] = [
    ...entries.map((entry): PipeResult => ({ kind: "entry", entry })),
    ...samples.map((sample): PipeResult => ({ kind: "sample", sample })),
  ];
  for (const result of results) {
    output.write(trace ? renderer.trace(result) : renderer.output(result));
    await output.drained();
    if (output.closed) break;
  }
  return counts;
}

async function standardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      throw new Error(
        "a running agent takes at most 1 MiB at a time: give less, or the path of the configuration, which has no limit",
      );
    }
  }
  return Buffer.concat(chunks, length);
}
