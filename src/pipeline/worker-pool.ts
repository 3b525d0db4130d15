import type { MessagePort, Worker } from "node:worker_threads";
import { errorText } from "#base/log";

/**
 * Threads for work that is too heavy for the main one. Components open channels to them; a thread is started with its
 * first channel and ended with its last, so that none is there before it is needed. See adr/0010-workers.md.
 */

/** From the main thread to a worker. The first message of a channel has `open`, the last one `close`. */
interface Envelope {
  readonly channel: number;
  readonly open?: string;
  readonly close?: true;
  readonly body?: unknown;
}
/** And back. */
interface Reply {
  readonly channel: number;
  readonly body: unknown;
}

export interface ChannelEvents {
  received(body: unknown): void;
  /** The thread ended by itself. What was posted and not answered is lost to this channel, which is closed. */
  died(cause: string): void;
}

export interface WorkerChannel {
  post(body: unknown, transfer?: readonly ArrayBuffer[]): void;
  close(): void;
}

class Thread {
  readonly worker: Worker;
  readonly channels = new Map<number, ChannelEvents>();
  error: string | undefined;
  constructor(worker: Worker) {
    this.worker = worker;
  }
}

export class WorkerPool {
  /** How many threads there may be. */
  readonly size: number;
  /** Whether components are to use it whatever they have to do, for tests. */
  readonly isEager: boolean;
  readonly #spawn: () => Worker;
  readonly #threads: (Thread | undefined)[];
  readonly #ending = new Set<Promise<unknown>>();
  #channels = 0;

  /** `spawn` starts a thread whose main program calls `serveChannels`. */
  constructor(size: number, spawn: () => Worker, options: { readonly isEager?: boolean } = {}) {
    this.size = size;
    this.isEager = options.isEager ?? false;
    this.#spawn = spawn;
    this.#threads = new Array(size).fill(undefined);
  }

  /** Threads that run. */
  get running(): number {
    return this.#threads.filter((thread) => thread !== undefined).length;
  }

  /** Opens a channel to the program `kind` in thread `index`. Throws if no thread can be started. */
  open(index: number, kind: string, body: unknown, events: ChannelEvents): WorkerChannel {
    const thread = (this.#threads[index] ??= this.#start(index));
    const channel = ++this.#channels;
    thread.channels.set(channel, events);
    const post = (envelope: Envelope, transfer?: readonly ArrayBuffer[]) =>
      thread.worker.postMessage(envelope, transfer as ArrayBuffer[] | undefined);
    post({ channel, open: kind, body });
    return {
      post: (message, transfer) => post({ channel, body: message }, transfer),
      close: () => {
        if (!thread.channels.delete(channel)) return;
        post({ channel, close: true });
        if (thread.channels.size === 0) this.#end(index, thread);
      },
    };
  }

  /** Ends all threads, whatever they do. */
  async close(): Promise<void> {
    for (const [index, thread] of this.#threads.entries()) if (thread !== undefined) this.#end(index, thread);
    await Promise.all(this.#ending);
  }

  #start(index: number): Thread {
    const thread = new Thread(this.#spawn());
    const { worker } = thread;
    worker.on("message", ({ channel, body }: Reply) => thread.channels.get(channel)?.received(body));
    worker.on("error", (error) => {
      thread.error = errorText(error);
    });
    worker.on("exit", (code) => {
      if (this.#threads[index] !== thread) return; // ended by us
      this.#threads[index] = undefined;
      const cause = thread.error ?? `it ended with exit code ${code}`;
      for (const events of [...thread.channels.values()]) events.died(cause);
      thread.channels.clear();
    });
    return thread;
  }

  #end(index: number, thread: Thread): void {
    this.#threads[index] = undefined;
    thread.channels.clear();
    const ending = thread.worker.terminate().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }
}

/** The other end of a channel: made when it opens, told what comes, closed with it. */
export interface ChannelServer {
  received(body: unknown): void;
  close(): void;
}
export type OpenChannel = (
  body: unknown,
  post: (body: unknown, transfer?: readonly ArrayBuffer[]) => void,
) => ChannelServer;

/** Serves channels in a thread: its main program. What a server throws ends the thread. */
export function serveChannels(port: MessagePort, kinds: ReadonlyMap<string, OpenChannel>): void {
  const channels = new Map<number, ChannelServer>();
  port.on("message", ({ channel, open, close, body }: Envelope) => {
    if (open !== undefined) {
      const post = (reply: unknown, transfer: readonly ArrayBuffer[] = []) =>
        port.postMessage({ channel, body: reply } satisfies Reply, [...transfer]);
      channels.set(channel, kinds.get(open)!(body, post));
    } else if (close === true) {
      channels.get(channel)?.close();
      channels.delete(channel);
    } else channels.get(channel)!.received(body);
  });
}
