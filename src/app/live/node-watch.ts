import type { Value } from "#lang/value";
import { type Batch, batchItems } from "#pipeline/batch";
import { EdgeBudget } from "./budget.ts";
import { exportsItem } from "./exports-item.ts";
import { lookAt } from "./items.ts";
import type { Selected } from "./selection.ts";
import type { LiveWatch } from "./watch.ts";

/** One stream's listeners at one component. */
export class NodeWatch {
  readonly #stream: LiveWatch;
  /** As the configuration has it now. */
  selected: Selected;
  readonly #unwatch: (() => void)[] = [];
  #unwatchTraces: (() => void) | undefined;
  readonly #edges = new Map<string, WatchedEdge>();

  constructor(stream: LiveWatch, selected: Selected) {
    this.#stream = stream;
    this.selected = selected;
  }

  /** Begins to listen and shows what the component exports. */
  start(): void {
    const { tap } = this.selected.node;
    this.#unwatch.push(tap.watch((direction, peer, batch) => this.#batch(direction, peer, batch)));
    if (this.#stream.options.trace) return;
    this.#unwatch.push(tap.watchExports((exports) => this.#exports(exports)));
    this.#exports(this.selected.node.exports);
  }

  listenToTraces(listen: boolean): void {
    this.#unwatchTraces?.();
    this.#unwatchTraces = undefined;
    if (!listen) return;
    const { tap, id } = this.selected.node;
    this.#unwatchTraces = tap.watchTraces({
      wants: () => this.#stream.wantsTrace(),
      show: (trace) => this.#stream.showTrace(id, trace),
    });
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
    this.#unwatchTraces?.();
    for (const edge of this.#edges.values()) edge.close();
    this.#edges.clear();
  }

  /** Once a second: edges on which nothing flows any more leave their share to the others. */
  tick(): void {
    for (const [key, edge] of this.#edges) if (!edge.tick()) this.#edges.delete(key);
  }

  #batch(direction: "in" | "out", peer: string, batch: Batch): void {
    const stream = this.#stream;
    if (!this.#isWanted(direction, peer)) return;
    stream.passed(batchItems(batch));
    if (stream.options.trace) return;
    const key = direction === "in" ? "" : peer;
    const { filter, sample, monotonic } = stream.options;
    const now = monotonic();
    let edge = this.#edges.get(key);
    if (edge === undefined) this.#edges.set(key, (edge = new WatchedEdge(stream, now)));
    edge.hasData = true;
    if (!stream.isOpen) return;
    const { budget } = edge;
    budget.update(now);
    const most = budget.items(now);
    const timeMs = budget.timeMs(now);
    if (most < 1 || timeMs <= 0) return;
    const { id } = this.selected.node;
    try {
      const looked = lookAt(batch, {
        most,
        sample,
        filter,
        search: stream.search,
        random: Math.random,
        goOn: () => stream.isOpen && monotonic() - now < timeMs,
        show(item) {
          budget.take(1);
          stream.show(id, direction, peer, item);
        },
      });
      stream.looked(looked);
    } catch (error) {
      stream.fail(error); // whoever watches must not harm what is watched
    } finally {
      budget.spend(monotonic() - now);
      stream.worked();
    }
  }

  #isWanted(direction: "in" | "out", peer: string): boolean {
    const { trace, direction: asked } = this.#stream.options;
    const { consumers, isWhole, edge } = this.selected;
    if (trace) return direction === "in";
    const wanted = asked ?? (isWhole && consumers.length === 0 ? "in" : "out");
    if (wanted !== "both" && wanted !== direction) return false;
    return direction === "in" || edge(peer);
  }

  #exports(exports: Value | undefined): void {
    const stream = this.#stream;
    if (!this.selected.isWhole || stream.options.direction === "in" || !stream.isOpen) return;
    const { monotonic } = stream.options;
    const began = monotonic();
    try {
      const item = exportsItem(exports, stream.options.filter);
      if (item === undefined) return;
      stream.passed(1);
      if (stream.budget.items(began) < 1) return;
      stream.looked(1);
      stream.budget.take(1);
      stream.show(this.selected.node.id, "out", "", item);
    } catch (error) {
      stream.fail(error);
    } finally {
      stream.budget.total.spend(monotonic() - began);
      stream.worked();
    }
  }
}

/** An edge on which data flows, with its share of the stream's budget. */
class WatchedEdge {
  readonly budget: EdgeBudget;
  readonly #stream: LiveWatch;
  /** Whether a batch came since the last tick. */
  hasData = true;

  constructor(stream: LiveWatch, now: number) {
    this.#stream = stream;
    stream.budget.edges += 1;
    this.budget = new EdgeBudget(stream.budget, now);
  }

  /** Whether something flowed since the last tick. */
  tick(): boolean {
    const had = this.hasData;
    this.hasData = false;
    if (!had) this.close();
    return had;
  }
  close(): void {
    this.#stream.budget.edges -= 1;
  }
}
