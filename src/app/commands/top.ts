import { systemClock } from "#base/clock";
import { errorText } from "#base/log";
import { displayText } from "#lang/display";
import type { StatusJson } from "../api/json.ts";
import { type Command, EXIT, outputStyle, type Terminal } from "../cli.ts";
import { UsageError } from "../command-line.ts";
import { AgentClient, CLIENT_FLAGS } from "../terminal/agent-client.ts";
import { countsText } from "../terminal/component-view.ts";
import { type Key, Screen } from "../terminal/screen.ts";
import { cut, paint } from "../terminal/table.ts";
import { TOP_ORDERS, type TopOrder, topTable } from "../terminal/top-view.ts";

const SHORTEST_INTERVAL_MS = 100;
/** Lines above the rows of the table: two of our own and the titles. */
const HEAD_LINES = 3;

interface Options {
  readonly client: AgentClient;
  readonly intervalMs: number;
  readonly order: TopOrder;
  readonly edges: boolean;
}

export const top: Command = {
  usage: "invar top [flags]",
  summary: "Watch the components of a running agent: rates, drops, queues, lag",
  flags: [
    { name: "interval", type: "duration", default: "2s", help: "Time between two looks" },
    { name: "once", type: "bool", default: false, help: "Print one table and end" },
    { name: "sort", type: "enum", values: TOP_ORDERS, default: "rate", help: "What comes first" },
    { name: "edges", type: "bool", default: false, help: "Show what goes to each consumer as well" },
    ...CLIENT_FLAGS,
  ],
  positional: [0, 0],

  async run(line, terminal) {
    const intervalMs = line.flags.get("interval") as number;
    if (intervalMs < SHORTEST_INTERVAL_MS)
      throw new UsageError(`--interval must be at least ${SHORTEST_INTERVAL_MS}ms`);
    const options: Options = {
      client: AgentClient.fromCommandLine(line),
      intervalMs,
      order: line.flags.get("sort") as TopOrder,
      edges: line.flags.get("edges") === true,
    };
    // Whoever cannot be asked at all is told so on the normal screen.
    const first = await options.client.json<StatusJson>("status");
    const isScreen = process.stdout.isTTY === true && process.env.TERM !== "dumb";
    if (line.flags.get("once") === true) terminal.out(plainText(first, options));
    else if (isScreen) await watchScreen(first, options);
    else await printAgain(first, options, terminal);
    return EXIT.ok;
  },
};

function plainText(status: StatusJson, { order, edges }: Options): string {
  const style = outputStyle();
  const head = `${status.now}  ${countsText(status.components, style)}`;
  return `${[head, ...topTable(status, order, edges, style)].join("\n")}\n`;
}

/** Table after table, until nobody reads on or the process is ended. */
async function printAgain(first: StatusJson, options: Options, terminal: Terminal): Promise<void> {
  const abort = new AbortController();
  process.stdout.on("error", () => abort.abort());
  terminal.out(plainText(first, options));
  for await (const { status, problem } of looks(options, abort.signal)) {
    if (status === undefined) terminal.error(`Warning: ${problem}\n`);
    else terminal.out(`\n${plainText(status, options)}`);
  }
}

/** What the agent answers, or why it does not. */
interface Look {
  readonly status: StatusJson | undefined;
  readonly problem: string;
}

/** A look after each interval, until `signal` is aborted. An agent that does not answer may come back. */
async function* looks({ client, intervalMs }: Options, signal: AbortSignal): AsyncIterable<Look> {
  while (!signal.aborted) {
    let look: Look;
    try {
      await systemClock.sleep(intervalMs, signal);
      look = { status: await client.json<StatusJson>("status", {}, signal), problem: "" };
    } catch (error) {
      if (signal.aborted) return;
      look = { status: undefined, problem: errorText(error) };
    }
    yield look;
  }
}

/** Owns the terminal until a key or a signal ends it. */
async function watchScreen(first: StatusJson, options: Options): Promise<void> {
  const abort = new AbortController();
  const quit = () => abort.abort();
  let { order, edges } = options;
  let scroll = 0;
  let status = first;
  let problem = "";
  const draw = () => {
    const style = outputStyle();
    const columns = style.columns ?? 80;
    const [titles, ...lines] = topTable(status, order, edges, style);
    const room = Math.max(1, screen.rows - HEAD_LINES);
    scroll = Math.max(0, Math.min(scroll, lines.length - room));
    const more =
      lines.length > room ? `  ${scroll + 1}-${Math.min(scroll + room, lines.length)} of ${lines.length} (↑↓)` : "";
    const help = `sorted by ${order} (s)  edges ${edges ? "on" : "off"} (e)  quit (q)${more}`;
    const time = `${status.now.slice(11, 19)} UTC`;
    screen.draw([
      problem === ""
        ? `${countsText(status.components, style)}  ${paint(style, "quiet", `${options.client.address}  ${time}`)}`
        : paint(style, "red", cut(displayText(`no news since ${time}: ${problem}`), columns)),
      paint(style, "quiet", cut(help, columns)),
      titles!,
      ...lines.slice(scroll, scroll + room),
    ]);
  };
  const onKey = (key: Key) => {
    const page = Math.max(1, screen.rows - HEAD_LINES - 1);
    const text = typeof key === "string" ? key : key.text;
    const steps: Readonly<Record<string, number>> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      "page-up": -page,
      "page-down": page,
    };
    if (text === "interrupt" || text === "q" || text === "Q") return quit();
    if (text === "s") order = TOP_ORDERS[(TOP_ORDERS.indexOf(order) + 1) % TOP_ORDERS.length]!;
    else if (text === "e") edges = !edges;
    else if (text === "home") scroll = 0;
    else if (text === "end") scroll = Number.MAX_SAFE_INTEGER;
    else if (steps[text] !== undefined) scroll += steps[text];
    else return;
    draw();
  };
  using screen = new Screen(process.stdin, process.stdout, onKey, draw);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, quit);
  process.stdout.on("error", quit);
  draw();
  for await (const look of looks(options, abort.signal)) {
    status = look.status ?? status;
    problem = look.problem;
    draw();
  }
}
