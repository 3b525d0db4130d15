import { errorText } from "#base/log";
import type { HttpRequest, HttpResponse } from "#pipeline/component";
import type { Agent } from "../agent.ts";
import type { PipeJson } from "../api/json.ts";
import { withoutUrlSecrets } from "../api/redact.ts";
import { text } from "../api/responses.ts";
import { EntryReader, InputError, parseLabels, readSamples } from "./input.ts";
import { MAX_BODY_BYTES, MAX_LINES, type PipeRequest } from "./pipe-request.ts";
import { PipeRun } from "./pipe-run.ts";
import { findSubject, type PipeSubject, SubjectError } from "./subject.ts";

/** How long a run may take, … */
const MAX_MS = 5_000;
/** … and how long the answer may be, in characters. */
const MAX_ANSWER = 32 * 1024 * 1024;

const PARAMETERS: ReadonlySet<string> = new Set(["component", "labels", "input", "trace"]);

/** A run that was given up; the message says why. */
class PipeLimitError extends Error {
  override readonly name = "PipeLimitError";
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Runs take turns, so that they cannot take the agent's time from its data, and no more than this many wait. */
const MAX_WAITING = 8;
let waiting = 0;
let last: Promise<unknown> = Promise.resolve();

/** Answers `POST …/web/pipe`: feeds the body to a copy of a component. See docs/api.md. */
export async function servePipe(agent: Agent, request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  if (request.method !== "POST") return text(405, "entries are piped with POST\n");
  // A stranger's page in the user's browser could not read the answer, but keep the agent busy.
  if (request.headers.get("sec-fetch-site") === "cross-site") return text(403, "not for pages of other sites\n");
  if (waiting >= MAX_WAITING) return text(429, `${waiting} runs are under way: try again later\n`);
  waiting += 1;
  try {
    const asked = readQuery(request.query);
    const subject = findSubject(agent.controller, asked.component);
    const body = await request.body(MAX_BODY_BYTES);
    const run = last.then(() => runPipe(subject, asked, body, signal));
    last = run.catch(() => {});
    return { status: 200, headers: { "Content-Type": "application/json" }, body: await run };
  } catch (error) {
    if (signal.aborted) return text(503, "the client did not wait for the answer\n");
    const refusal = statusOf(error);
    if (refusal === undefined) throw error;
    return text(refusal, `${withoutUrlSecrets(errorText(error))}\n`);
  } finally {
    waiting -= 1;
  }
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof SubjectError) return error.isMissing ? 404 : 400;
  if (error instanceof InputError) return 400;
  return error instanceof PipeLimitError ? error.status : undefined;
}

function readQuery(query: URLSearchParams): PipeRequest {
  for (const name of query.keys()) {
    if (!PARAMETERS.has(name)) throw new InputError(`there is no parameter "${name}": ${[...PARAMETERS].join(", ")}`);
  }
  const component = query.get("component") ?? "";
  if (component === "") throw new InputError("component= says which component the entries are piped through");
  const input = query.get("input") ?? "lines";
  if (input !== "lines" && input !== "json") throw new InputError(`input must be lines or json, not "${input}"`);
  const trace = query.get("trace") ?? "false";
  if (trace !== "true" && trace !== "false") throw new InputError(`trace must be true or false, not "${trace}"`);
  return { component, labels: query.get("labels") ?? "", input, trace: trace === "true" };
}

/** The answer as JSON (PipeJson). */
async function runPipe(
  subject: PipeSubject,
  asked: PipeRequest,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  const until = performance.now() + MAX_MS;
  const shown = { entry: [] as string[], sample: [] as string[] };
  let length = 0;
  const run = new PipeRun(subject, {
    trace: asked.trace,
    check() {
      signal.throwIfAborted();
      if (performance.now() > until) {
        throw new PipeLimitError(
          503,
          `the run took more than ${MAX_MS / 1000} seconds and was given up: give fewer lines`,
        );
      }
    },
    show(result) {
      const text = JSON.stringify(result.kind === "entry" ? result.entry : result.sample);
      length += text.length;
      if (length > MAX_ANSWER) {
        throw new PipeLimitError(
          413,
          "the answer would be larger than 32 MiB: give fewer lines, or leave out trace=true",
        );
      }
      shown[result.kind].push(text);
    },
  });
  try {
    const labels = parseLabels(asked.labels);
    if (run.signal === "metrics") {
      await run.feedSamples(limited(readSamples(body, asked.input, labels, run.series, run.clock.now())));
    } else {
      const reader = new EntryReader(asked.input, labels, () => run.clock.now());
      const entries = [...reader.read(body), ...reader.end()];
      limited({ count: entries.length });
      await run.feed(entries);
    }
  } finally {
    await run.finish();
  }
  const { received, sent, dropped } = run;
  const head: Omit<PipeJson, "entries" | "samples"> = {
    component: subject.id,
    signal: subject.signal,
    received,
    sent,
    dropped,
  };
  const lists = `"entries":[${shown.entry.join(",")}],"samples":[${shown.sample.join(",")}]`;
  return `${JSON.stringify(head).slice(0, -1)},${lists}}`;
}

function limited<T extends { readonly count: number }>(items: T): T {
  if (items.count > MAX_LINES) throw new PipeLimitError(413, `at most ${MAX_LINES} lines are piped at a time`);
  return items;
}
