import type { ReadStream, WriteStream } from "node:tty";

/** Alternate screen on, cursor hidden, no line goes on in the next; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
/** The terminal shows what lies between these at once, if it knows them. */
const BEGIN_UPDATE = "\x1b[?2026h";
const END_UPDATE = "\x1b[?2026l";

export type Key = "up" | "down" | "page-up" | "page-down" | "home" | "end" | "interrupt" | { readonly text: string };

const SEQUENCES: ReadonlyMap<string, Key> = new Map<string, Key>([
  ["\x1b[A", "up"],
  ["\x1bOA", "up"],
  ["\x1b[B", "down"],
  ["\x1bOB", "down"],
  ["\x1b[5~", "page-up"],
  ["\x1b[6~", "page-down"],
  ["\x1b[H", "home"],
  ["\x1b[1~", "home"],
  ["\x1b[F", "end"],
  ["\x1b[4~", "end"],
  ["\x03", "interrupt"],
  ["\x04", "interrupt"],
]);
const KEY = /\x1b(?:\[[\d;]*[A-Za-z~]|O[A-Za-z])|./gsu;

/** The keys in what a terminal sent; sequences that mean nothing here are left out. */
export function keysOf(text: string): readonly Key[] {
  return Array.from(
    text.matchAll(KEY),
    ([part]) => SEQUENCES.get(part) ?? (part.startsWith("\x1b") ? undefined : { text: part }),
  ).filter((key) => key !== undefined);
}

/** A whole terminal, until it is disposed of: then it is as it was before, whatever happened. */
export class Screen implements Disposable {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #onData: (data: Buffer) => void;
  readonly #onResize: () => void;
  readonly #restore = () => this[Symbol.dispose]();
  #open = true;

  constructor(input: ReadStream, output: WriteStream, onKey: (key: Key) => void, onResize: () => void) {
    this.#input = input;
    this.#output = output;
    this.#onResize = onResize;
    this.#onData = (data) => {
      for (const key of keysOf(data.toString("utf8"))) onKey(key);
    };
    process.on("exit", this.#restore); // after an error that nobody caught
    output.on("resize", onResize);
    output.write(ENTER);
    if (!input.isTTY) return;
    input.setRawMode(true);
    input.on("data", this.#onData);
    input.resume();
  }

  get rows(): number {
    return this.#output.rows || 24;
  }

  /** Replaces what is shown, without clearing first: that would flicker. Lines have to fit. */
  draw(lines: readonly string[]): void {
    const shown = lines.slice(0, this.rows).map((line) => line + CLEAR_LINE_END);
    this.#output.write(`${BEGIN_UPDATE}${HOME}${shown.join("\r\n")}${CLEAR_BELOW}${END_UPDATE}`);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    process.off("exit", this.#restore);
    this.#output.off("resize", this.#onResize);
    this.#output.write(LEAVE);
    if (!this.#input.isTTY) return;
    this.#input.off("data", this.#onData);
    this.#input.setRawMode(false);
    this.#input.pause();
  }
}
