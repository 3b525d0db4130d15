import type { Report } from "../report.ts";
import { advice, ENTRIES, type Entry, FORWARD, type Kind, type Signal } from "./catalogue.ts";
import { type Definitions, type Pipeline, splitName } from "./pipelines.ts";

/** A component of the output, and where each signal goes from it. */
export interface Node {
  readonly kind: Kind;
  /** Its name in the source. */
  readonly id: string;
  readonly entry: Entry;
  /** The first group of pipelines that has it. */
  readonly group: string;
  /** The only signal of a processor that had to be there once for each. */
  readonly only: Signal | undefined;
  readonly outputs: Map<Signal, Set<Node>>;
}

/**
 * Makes of pipelines what the output has instead, components that name those behind them. Receivers, exporters and
 * connectors are there once, however many pipelines have them; processors once for each group of pipelines of the same
 * name, as in Alloy's converter, but once for each signal where they would feed themselves: `batch` before and behind
 * a connector, say. What is left out is joined over.
 */
export class Wiring {
  readonly #pipelines: readonly Pipeline[];
  readonly #definitions: Definitions;
  readonly #report: Report;
  readonly #entries = new Map<string, Entry | undefined>();
  readonly #split = new Set<string>();
  #nodes = new Map<string, Node>();

  constructor(pipelines: readonly Pipeline[], definitions: Definitions, report: Report) {
    this.#pipelines = pipelines;
    this.#definitions = definitions;
    this.#report = report;
  }

  /** The components of the output in the order of Alloy's converter. */
  nodes(): readonly Node[] {
    this.#connect();
    for (let cycle = this.#cycle(); cycle !== undefined; cycle = this.#cycle()) {
      const again = cycle.filter(({ kind, only }) => kind === "processor" && only === undefined);
      if (again.length === 0) {
        const names = cycle.map(({ id }) => id).join(", ");
        this.#report.add("Error", "service.pipelines", `these components feed each other in a circle: ${names}`);
        break;
      }
      for (const { group, id } of again) this.#split.add(processorKey(group, id));
      this.#connect();
    }
    for (const pipeline of this.#pipelines) this.#tellIfEmpty(pipeline);
    const order: readonly Kind[] = ["receiver", "processor", "exporter", "connector"];
    const groups = [...new Set(this.#pipelines.map(({ group }) => group))];
    const rank = ({ group, kind }: Node) => groups.indexOf(group) * order.length + order.indexOf(kind);
    return [...this.#nodes.values()].sort((a, b) => rank(a) - rank(b));
  }

  #connect(): void {
    this.#nodes = new Map();
    for (const pipeline of this.#pipelines) {
      for (const id of pipeline.receivers) {
        const node = this.#source(pipeline, id);
        if (node !== undefined) send(node, pipeline.signal, this.#behind(pipeline, 0, new Set()));
      }
      for (const [i, id] of pipeline.processors.entries()) {
        const node = this.#usable(pipeline, "processor", id, "signals");
        if (node !== undefined) send(node, pipeline.signal, this.#behind(pipeline, i + 1, new Set()));
      }
      this.#behind(pipeline, pipeline.processors.length, new Set());
    }
  }

  #source(pipeline: Pipeline, id: string): Node | undefined {
    if (this.#isForward(id)) {
      this.#definitions.find("connector", id, pipeline.place);
      return undefined;
    }
    const isConnector = this.#definitions.has("connector", id);
    return this.#usable(pipeline, isConnector ? "connector" : "receiver", id, isConnector ? "gives" : "signals");
  }

  #isForward(id: string): boolean {
    return splitName(id)[0] === FORWARD && this.#definitions.has("connector", id);
  }

  /** The Collector refuses a pipeline without receivers or exporters; here it may come to that by what is left out. */
  #tellIfEmpty(pipeline: Pipeline): void {
    const hasSource = pipeline.receivers.some((id) => this.#isForward(id) || this.#source(pipeline, id) !== undefined);
    const hasTarget = this.#behind(pipeline, pipeline.processors.length, new Set()).length > 0;
    const missing = [...(hasSource ? [] : ["comes into"]), ...(hasTarget ? [] : ["goes out of"])];
    if (missing.length > 0) {
      this.#report.add("Warning", pipeline.place, `nothing ${missing.join(" or ")} this pipeline`);
    }
  }

  /** What comes behind the first `index` processors of a pipeline. `passed` are the forward connectors seen so far. */
  #behind(pipeline: Pipeline, index: number, passed: Set<string>): readonly Node[] {
    for (const id of pipeline.processors.slice(index)) {
      const node = this.#usable(pipeline, "processor", id, "signals");
      if (node !== undefined) return [node];
    }
    return pipeline.exporters.flatMap((id) => {
      if (!this.#definitions.has("connector", id)) return this.#usable(pipeline, "exporter", id, "signals") ?? [];
      if (!this.#isForward(id)) return this.#usable(pipeline, "connector", id, "signals") ?? [];
      if (passed.has(id)) return [];
      passed.add(id);
      const next = this.#pipelines.filter((each) => each.signal === pipeline.signal && each.receivers.includes(id));
      return next.flatMap((each) => this.#behind(each, 0, passed));
    });
  }

  /** The node of a component in a pipeline; undefined, with a finding, where there is none. */
  #usable(pipeline: Pipeline, kind: Kind, id: string, role: "signals" | "gives"): Node | undefined {
    const entry = this.#entryOf(kind, id, pipeline.place);
    if (entry === undefined) return undefined;
    const { signal, group, place } = pipeline;
    if (entry[role]?.includes(signal) !== true) {
      const verb = kind === "receiver" || role === "gives" ? "gives" : "takes";
      this.#report.add(
        "Error",
        place,
        `${id} ${verb} no ${signal}, and the Collector refuses it here; it is left out of this pipeline`,
      );
      return undefined;
    }
    const own = processorKey(group, id);
    const only = kind === "processor" && this.#split.has(own) ? signal : undefined;
    const key = kind === "processor" ? `${own} ${only ?? ""}` : `${kind} ${id}`;
    let node = this.#nodes.get(key);
    if (node === undefined) this.#nodes.set(key, (node = { kind, id, entry, group, only, outputs: new Map() }));
    return node;
  }

  #entryOf(kind: Kind, id: string, place: string): Entry | undefined {
    const key = `${kind} ${id}`;
    if (this.#entries.has(key)) return this.#entries.get(key);
    const type = splitName(id)[0];
    const entry = ENTRIES[kind].get(type);
    const isDefined = this.#definitions.has(kind, id);
    this.#definitions.find(kind, id, place);
    if (isDefined && entry === undefined) this.#definitions.leaveOut(kind, id, advice(kind, type));
    this.#entries.set(key, isDefined ? entry : undefined);
    return isDefined ? entry : undefined;
  }

  /** Nodes that feed each other, if any do. */
  #cycle(): readonly Node[] | undefined {
    const done = new Set<Node>();
    const path: Node[] = [];
    const visit = (node: Node): readonly Node[] | undefined => {
      const at = path.indexOf(node);
      if (at >= 0) return path.slice(at);
      if (done.has(node)) return undefined;
      done.add(node);
      path.push(node);
      for (const next of [...node.outputs.values()].flatMap((each) => [...each])) {
        const found = visit(next);
        if (found !== undefined) return found;
      }
      path.pop();
      return undefined;
    };
    for (const node of this.#nodes.values()) {
      const found = visit(node);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function processorKey(group: string, id: string): string {
  return `processor ${group} ${id}`;
}

function send(from: Node, signal: Signal, to: readonly Node[]): void {
  let targets = from.outputs.get(signal);
  if (targets === undefined) from.outputs.set(signal, (targets = new Set()));
  for (const each of to) targets.add(each);
}
