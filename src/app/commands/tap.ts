import type { LiveEvent, StatusJson } from "../api/json.ts";
import { type Command, EXIT, outputStyle } from "../cli.ts";
import { type ParsedCommandLine, UsageError } from "../command-line.ts";
import { logfmtEvent, prettyEvent, type ShownEvent } from "../live/print.ts";
import { AgentClient, AgentError, CLIENT_FLAGS } from "../terminal/agent-client.ts";
import { matcherOf } from "../terminal/component-view.ts";
import { painter } from "../terminal/table.ts";

/** After this long without anything to show, it is said why. */
const SILENCE_MS = 5_000;

export const tap: Command = {
  usage: "invar tap [flags] COMPONENT[.CONSUMER]...",
  summary: "Show the data that flows through components of a running agent",
  flags: [
    ...CLIENT_FLAGS,
    { name: "in", type: "bool", default: false, help: "Show what comes in" },
    {
      name: "out",
      type: "bool",
      default: false,
      help: "Show what goes out; the default, except for components that hand nothing on",
    },
    {
      name: "format",
      type: "enum",
      values: ["auto", "pretty", "logfmt", "json"],
      default: "auto",
      help: "Form of the output; auto is pretty on a terminal and logfmt elsewhere",
    },
    { name: "limit", type: "int", default: 0, help: "End after this many items; 0 for no end" },
    {
      name: "where",
      type: "string",
      default: "",
      help: `Show only items that match all of these: word, "two words", name=value, name=~regex, -term for the opposite`,
    },
    { name: "sample", type: "string", default: "1", help: "Share of the items to show, from 0 to 1" },
    { name: "rate", type: "int", default: 100, help: "Most items a second to look at, up to 10000" },
    {
      name: "trace",
      type: "bool",
      default: false,
      help: "Show what each stage of loki.process does to single entries",
    },
  ],
  positional: [1, 100],

  async run(line, terminal) {
    const client = AgentClient.fromCommandLine(line);
    const stop = new AbortController();
    const interrupt = () => stop.abort("interrupted");
    const broken = () => stop.abort("closed");
    process.once("SIGINT", interrupt);
    // Such as the end of `| head`. Stays on: the error may come after the last write.
    process.stdout.on("error", broken);
    const shown = new Tally();
    const silence = setTimeout(() => void explainSilence(client, line, shown, stop.signal, terminal.error), SILENCE_MS);
    try {
      const format = formatter(line);
      for await (const text of client.lines("live", queryOf(line), stop.signal)) {
        const event = JSON.parse(text) as LiveEvent;
        shown.add(event);
        if (event.event === "passed") continue;
        clearTimeout(silence);
        terminal.out(format(event, text));
      }
    } catch (error) {
      if (!stop.signal.aborted) {
        if (error instanceof AgentError && error.status === 400) throw new UsageError(error.message);
        if (shown.passed > 0) terminal.error(`${shown.summary}\n`);
        throw error;
      }
    } finally {
      clearTimeout(silence);
      process.off("SIGINT", interrupt);
    }
    if (stop.signal.reason === "closed") return EXIT.ok;
    terminal.error(`${shown.summary}\n`);
    const limit = line.flags.get("limit") as number;
    if (stop.signal.aborted || (limit > 0 && shown.shown >= limit)) return EXIT.ok;
    terminal.error(`${client.address} ended the stream: it stopped, or live debugging was turned off\n`);
    return EXIT.failed;
  },
};

function queryOf({ flags, given, positional }: ParsedCommandLine): URLSearchParams {
  const query = new URLSearchParams(positional.map((each) => ["component", each]));
  const [incoming, outgoing] = [flags.get("in") === true, flags.get("out") === true];
  if (incoming || outgoing) query.set("direction", incoming && outgoing ? "both" : incoming ? "in" : "out");
  for (const name of ["where", "sample", "rate", "trace"]) {
    if (given.has(name)) query.set(name, String(flags.get(name)));
  }
  if ((flags.get("limit") as number) !== 0) query.set("limit", String(flags.get("limit")));
  return query;
}

/** How events are written, each with its line ends. `text` is the event as it came. */
function formatter({ flags, positional }: ParsedCommandLine): (event: ShownEvent, text: string) => string {
  const asked = flags.get("format");
  const format = asked === "auto" ? (process.stdout.isTTY === true ? "pretty" : "logfmt") : asked;
  if (format === "json") return (_event, text) => `${text}\n`;
  if (format === "logfmt") return (event) => `${logfmtEvent(event).join("\n")}\n`;
  const paint = painter(outputStyle());
  // With one component in one direction everything comes from the same place.
  const single = positional.length === 1 && !positional[0]!.includes("*") && !(flags.get("in") && flags.get("out"));
  let places = "";
  return (event) => {
    const place = event.event === "item" ? `${event.component} ${event.peer}` : event.component;
    places ||= place;
    return `${prettyEvent(event, paint, !single || place !== places)}\n`;
  };
}

/** Counts what the agent says passed. */
class Tally {
  passed = 0;
  looked = 0;
  shown = 0;

  add(event: LiveEvent): void {
    if (event.event !== "passed") {
      this.shown += 1;
      return;
    }
    this.passed += event.items;
    this.looked += event.looked;
  }

  get summary(): string {
    const count = (value: number) => value.toLocaleString("en-US");
    return `${count(this.passed)} items passed, ${count(this.looked)} looked at, ${count(this.shown)} shown`;
  }
}

/** Says once why nothing is shown: nothing matches, or nothing flows and the components know the cause. */
async function explainSilence(
  client: AgentClient,
  { positional }: ParsedCommandLine,
  shown: Tally,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<void> {
  if (shown.passed > 0) {
    say(`${shown.summary} so far: nothing has matched yet\n`);
    return;
  }
  try {
    const { components } = await client.json<StatusJson>("status", {}, signal);
    const isAsked = matcherOf(positional);
    const causes = components
      .filter(({ id, flow }) => isAsked(id) && flow.state !== "ok")
      .map(({ id, flow }) => `  ${id}: ${flow.state}: ${flow.cause}\n`);
    if (shown.shown === 0) say(`nothing has passed yet\n${causes.join("")}`);
  } catch {
    // The stream itself tells when the agent is gone.
  }
}
