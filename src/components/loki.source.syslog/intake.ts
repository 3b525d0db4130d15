import { SyslogError } from "#formats/syslog";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";
import type { MessageReader, Peer } from "./messages.ts";
import type { SyslogStatus } from "./status.ts";

/** What the sockets of one listener share. */
export interface ListenerShared {
  readonly reader: MessageReader;
  readonly status: SyslogStatus;
  /** Resolves once all consumers have the batch; rejects when the component stops. */
  readonly deliver: (batch: LogBatch) => void | Promise<void>;
}

/** Makes batches of what one connection, or all datagrams, bring; hands on one at a time. */
export class Intake {
  readonly #shared: ListenerShared;
  readonly #builder = new LogBatchBuilder();

  constructor(shared: ListenerShared) {
    this.#shared = shared;
  }

  /** Adds the message `bytes[start, end)`; one that is none is counted. */
  add(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const { reader, status } = this.#shared;
    try {
      status.read(reader.read(this.#builder, peer, bytes, start, end));
    } catch (error) {
      if (!(error instanceof SyslogError)) throw error;
      status.unreadable("parse_error", error.message, peer.ip);
    }
  }

  async deliver(): Promise<void> {
    const { count } = this.#builder;
    if (count === 0) return;
    const { reader, status, deliver } = this.#shared;
    try {
      await deliver(this.#builder.build());
      status.forwarded(count, reader);
    } finally {
      this.#builder.reset();
    }
  }
}
