import type { Socket } from "node:net";

/** Go's `bufio.Scanner` gives up a line that is longer. */
const LONGEST_LINE = 64 * 1024;

/** Reads lines from a socket as they are asked for. */
export class LineReader {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #hasEnded = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.pause();
  }

  /** The next line without its end; undefined when there are no more. Rejects as the connection fails, and for a long line. */
  async next(signal: AbortSignal): Promise<Buffer | undefined> {
    for (;;) {
      const end = this.#rest.indexOf(0x0a);
      if (end >= 0) {
        const line = this.#rest.subarray(0, end);
        this.#rest = this.#rest.subarray(end + 1);
        return withoutReturn(line);
      }
      if (this.#rest.length >= LONGEST_LINE) throw new Error(`a line is longer than ${LONGEST_LINE} bytes`);
      if (this.#hasEnded) {
        const last = this.#rest;
        this.#rest = Buffer.alloc(0);
        return last.length === 0 ? undefined : withoutReturn(last);
      }
      const chunk = (this.#socket.read() as Buffer | null) ?? (await this.#more(signal));
      if (chunk === undefined) this.#hasEnded = true;
      else this.#rest = Buffer.concat([this.#rest, chunk]);
    }
  }

  /** What comes next; undefined at the end. */
  #more(signal: AbortSignal): Promise<Buffer | undefined> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const settle = (action: () => void) => {
        socket.off("readable", readable).off("end", ended).off("error", failed).off("close", ended);
        signal.removeEventListener("abort", aborted);
        action();
      };
      const readable = () => {
        const chunk = socket.read() as Buffer | null;
        if (chunk !== null) settle(() => resolve(chunk));
      };
      const ended = () => settle(() => resolve(undefined));
      const failed = (error: Error) => settle(() => reject(error));
      const aborted = () => settle(() => reject(signal.reason as Error));
      if (signal.aborted) return aborted();
      if (socket.errored !== null) return failed(socket.errored);
      if (socket.readableEnded || socket.destroyed) return ended();
      socket.on("readable", readable).once("end", ended).once("error", failed).once("close", ended);
      signal.addEventListener("abort", aborted, { once: true });
      return undefined;
    });
  }
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
}
