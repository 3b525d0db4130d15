import { type Filter, FilterError, parseFilter } from "#base/filter";
import type { HttpRequest, HttpResponse } from "#pipeline/component";
import type { Agent } from "../agent.ts";
import type { LiveEvent } from "../api/json.ts";
import { text } from "../api/responses.ts";
import { LiveBudget } from "./budget.ts";
import { Outbox } from "./outbox.ts";
import { Selection, SelectionError } from "./selection.ts";
import { type Direction, LiveWatch, type WatchOptions } from "./watch.ts";

const MOST_STREAMS = 16;
const MOST_PATTERNS = 100;
const LONGEST_PARAMETER = 1_000;
const DEFAULT_RATE = 100;
const MOST_RATE = 10_000;
const DIRECTIONS: readonly string[] = ["in", "out", "both"];
/** What has stages whose work on single entries can be shown. */
const TRACED: ReadonlySet<string> = new Set(["loki.process"]);

type WatchRequest = Omit<WatchOptions, "budget" | "monotonic" | "allowed" | "outbox" | "write" | "failed">;

/** The agent's live data, watched by any number of clients up to a limit. Costs nothing while there are none. */
export class LiveStreams {
  readonly #agent: Agent;
  readonly #budget = new LiveBudget(performance.now());

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** Answers `GET …/web/live`: items of chosen components as newline-delimited JSON, until the client goes. See docs/api.md. */
  serve(request: HttpRequest, signal: AbortSignal): HttpResponse {
    if (request.method !== "GET" && request.method !== "HEAD") return text(405, "live data is asked for with GET\n");
    if (!this.#agent.liveDebugging) {
      return text(
        403,
        "live data is off: write `livedebugging { enabled = true }` into the configuration and reload it. Whoever can reach this port can then see the data that flows, so protect it with an `http` block.\n",
      );
    }
    if (this.isFull) return tooMany();
    let asked: WatchRequest;
    try {
      asked = this.#read(request.query);
    } catch (error) {
      if (error instanceof SelectionError) return text(404, `${error.message}\n`);
      if (error instanceof BadParameter || error instanceof FilterError) return text(400, `${error.message}\n`);
      throw error;
    }
    const write = (event: LiveEvent) => `${JSON.stringify(event)}\n`;
    const headers = { "Content-Type": "application/x-ndjson", "Cache-Control": "no-store", "X-Accel-Buffering": "no" };
    return { status: 200, headers, body: "", stream: this.stream(asked, write, signal) };
  }

  /** Whether there are as many streams as there may be. */
  get isFull(): boolean {
    return this.#budget.streams >= MOST_STREAMS;
  }

  /** Watches from the moment when the stream is read until it ends or `signal` is aborted. */
  async *stream(asked: WatchRequest, write: WatchOptions["write"], signal: AbortSignal): AsyncIterable<string> {
    if (signal.aborted) return;
    const agent = this.#agent;
    const outbox = new Outbox(signal);
    const watch = new LiveWatch({
      ...asked,
      budget: this.#budget,
      monotonic: () => performance.now(),
      allowed: () => agent.liveDebugging,
      outbox,
      write,
      failed: (error) => agent.log.warn("live data could not be shown; the pipeline itself is not affected", { error }),
    });
    const close = () => watch.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      yield* outbox.read();
    } finally {
      signal.removeEventListener("abort", close);
      watch.close();
    }
  }

  #read(query: URLSearchParams): WatchRequest {
    for (const [name, value] of query) {
      if (!PARAMETERS.includes(name))
        throw new BadParameter(`there is no parameter "${name}": ${PARAMETERS.join(", ")}`);
      if (value.length > LONGEST_PARAMETER)
        throw new BadParameter(`${name} must have at most ${LONGEST_PARAMETER} characters`);
    }
    // The page sends what is not chosen as an empty value.
    const components = query.getAll("component").filter((each) => each !== "");
    const to = query.getAll("to").filter((each) => each !== "");
    if (components.length + to.length > MOST_PATTERNS)
      throw new BadParameter(`at most ${MOST_PATTERNS} components can be asked for; use * for many`);
    const direction = query.get("direction") || undefined;
    if (direction !== undefined && !DIRECTIONS.includes(direction))
      throw new BadParameter(`direction must be in, out or both, not "${direction}"`);
    if (direction === "in" && to.length > 0)
      throw new BadParameter("to chooses among consumers, which only what goes out has: leave out direction=in");
    const trace = query.get("trace") || "false";
    if (trace !== "true" && trace !== "false") throw new BadParameter(`trace must be true or false, not "${trace}"`);
    const asked: WatchRequest = {
      direction: direction as Direction | undefined,
      filter: filterFrom(query.get("where")),
      sample: numberFrom(query, "sample", 1, 0, 1),
      rate: numberFrom(query, "rate", DEFAULT_RATE, 1, MOST_RATE),
      limit: wholeFrom(query, "limit", Number.POSITIVE_INFINITY),
      trace: trace === "true",
      selection: new Selection(this.#agent.controller, components.length === 0 ? ["*"] : components, to),
    };
    const { controller } = this.#agent;
    const isTraced = (id: string) => TRACED.has(controller.component(id)?.definition.name ?? "");
    if (asked.trace && !asked.selection.current().some(({ node }) => isTraced(node.id))) {
      throw new BadParameter(`none of these components has stages to trace; those of ${[...TRACED].join(", ")} have`);
    }
    return asked;
  }
}

const PARAMETERS = ["component", "direction", "to", "where", "sample", "rate", "limit", "trace"];

export function tooMany(): HttpResponse {
  return text(
    429,
    `${MOST_STREAMS} clients watch live data already, which is as many as there may be: close one of them\n`,
  );
}

class BadParameter extends Error {}

function filterFrom(where: string | null): Filter | undefined {
  const filter = parseFilter(where ?? "");
  return filter.empty ? undefined : filter;
}

function numberFrom(query: URLSearchParams, name: string, fallback: number, least: number, most: number): number {
  const given = query.get(name) ?? "";
  if (given === "") return fallback;
  const value = /^[\d.]/.test(given) ? Number(given) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new BadParameter(`${name} must be a number from ${least} to ${most}, not "${given}"`);
  return value;
}

function wholeFrom(query: URLSearchParams, name: string, fallback: number): number {
  const given = query.get(name) ?? "";
  if (given === "") return fallback;
  const value = /^\d+$/.test(given) ? Number(given) : 0;
  if (value < 1) throw new BadParameter(`${name} must be a whole number from 1 on, not "${given}"`);
  return value;
}
