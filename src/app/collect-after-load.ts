import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** By then components have found their files and targets, and what that took is garbage. */
const AFTER_MS = 20_000;

/**
 * Gives back, once after each load of a configuration, what the load and the first look at all files and targets
 * allocated. V8 would keep it until the old generation has grown to the room it starts with (START_FLAGS), which an agent
 * with little to do never needs: some 70 MB of 240 for ten thousand idle files. The pause is that of any full collection.
 */
export class CollectAfterLoad implements Disposable {
  readonly #afterMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(afterMs = AFTER_MS) {
    this.#afterMs = afterMs;
  }
  loaded(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(collectGarbage, this.#afterMs).unref();
  }
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  collect();
}
