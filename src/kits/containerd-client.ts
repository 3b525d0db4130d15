import type { Clock } from "#base/clock";
import { GRPC, GrpcError } from "#formats/grpc";
import { ProtoReader, ProtoWriter, WIRE_BYTES, WIRE_VARINT } from "#formats/protobuf";
import { GrpcClient } from "./grpc/client.ts";

/** A client of containerd's API, as far as figures of containers need it: containerd/api/services. */

export interface ContainerdContainer {
  readonly labels: ReadonlyMap<string, string>;
  readonly image: string;
  /** The environment of its process: `NAME=value`. */
  readonly environment: readonly string[];
}

export interface ContainerdOptions {
  /** Path of the socket. */
  readonly socket: string;
  readonly namespace: string;
  readonly clock: Clock;
  readonly userAgent: string;
  readonly timeoutMs: number;
}

/** A task whose state containerd does not know has no process yet. */
const UNKNOWN_STATUS = 0;

export class ContainerdClient {
  readonly #options: ContainerdOptions;
  readonly #client: GrpcClient;

  /** Connects to nothing yet. */
  constructor(options: ContainerdOptions) {
    this.#options = options;
    this.#client = new GrpcClient({
      target: { kind: "unix", path: options.socket },
      tls: undefined,
      authority: "localhost",
      pingWaitMs: 0,
      pingTimeoutMs: 0,
      pingWithoutStream: false,
      balancer: "pick_first",
      compression: "none",
      waitForReady: false,
      userAgent: options.userAgent,
      clock: options.clock,
    });
  }

  close(): void {
    this.#client.close();
  }

  /** Undefined for a container that is not there. Rejects with a GrpcError. */
  async container(id: string, signal: AbortSignal): Promise<ContainerdContainer | undefined> {
    const answer = await this.#call("/containerd.services.containers.v1.Containers/Get", id, signal);
    return answer === undefined ? undefined : parseContainerAnswer(answer);
  }

  /** The number of the container's process; undefined where there is none, or none yet. Rejects with a GrpcError. */
  async processOf(id: string, signal: AbortSignal): Promise<number | undefined> {
    const answer = await this.#call("/containerd.services.tasks.v1.Tasks/Get", id, signal);
    return answer === undefined ? undefined : parseTaskAnswer(answer);
  }

  /** Both requests have the id in their first field. */
  async #call(path: string, id: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { namespace, timeoutMs } = this.#options;
    const request = new ProtoWriter();
    request.string(1, id);
    const headers = new Map([["containerd-namespace", namespace]]);
    try {
      return await this.#client.call(path, [request.finish()], { timeoutMs, headers, signal });
    } catch (error) {
      if (error instanceof GrpcError && error.code === GRPC.NOT_FOUND) return undefined;
      throw error;
    }
  }
}

const bytesTag = (field: number) => (field << 3) | WIRE_BYTES;
const varintTag = (field: number) => (field << 3) | WIRE_VARINT;

/** Reads the message in field 1 of an answer: `take` is given each tag and says whether it read the value. */
function readFirst(bytes: Uint8Array, take: (reader: ProtoReader, tag: number) => boolean): void {
  const reader = new ProtoReader(bytes);
  while (!reader.done) {
    const tag = reader.tag();
    if (tag !== bytesTag(1)) {
      reader.skip(tag);
      continue;
    }
    const end = reader.enter();
    while (!reader.done) {
      const inner = reader.tag();
      if (!take(reader, inner)) reader.skip(inner);
    }
    reader.leave(end);
  }
}

/** `GetContainerResponse`: labels are in field 2 of its container, the image in 3, the OCI specification in 5. */
export function parseContainerAnswer(bytes: Uint8Array): ContainerdContainer {
  const labels = new Map<string, string>();
  let image = "";
  let specification = "";
  readFirst(bytes, (reader, tag) => {
    if (tag === bytesTag(2)) {
      const [name, value] = readStrings(reader, 1, 2);
      labels.set(name, value);
    } else if (tag === bytesTag(3)) image = reader.string();
    // Any { type_url = 1, value = 2 }
    else if (tag === bytesTag(5)) specification = readStrings(reader, 1, 2)[1];
    else return false;
    return true;
  });
  return { labels, image, environment: environmentOf(specification) };
}

/** `GetResponse`: the number of its process is in field 3, its status in 4. */
export function parseTaskAnswer(bytes: Uint8Array): number | undefined {
  let pid = 0;
  let status = UNKNOWN_STATUS;
  readFirst(bytes, (reader, tag) => {
    if (tag === varintTag(3)) pid = reader.varint();
    else if (tag === varintTag(4)) status = reader.varint();
    else return false;
    return true;
  });
  return status === UNKNOWN_STATUS || pid === 0 ? undefined : pid;
}

/** The texts in two fields of a submessage. */
function readStrings(reader: ProtoReader, first: number, second: number): [string, string] {
  const texts: [string, string] = ["", ""];
  const end = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === bytesTag(first)) texts[0] = reader.string();
    else if (tag === bytesTag(second)) texts[1] = reader.string();
    else reader.skip(tag);
  }
  reader.leave(end);
  return texts;
}

/** Of an OCI runtime specification in JSON. */
function environmentOf(specification: string): string[] {
  try {
    const { process } = JSON.parse(specification) as { process?: { env?: unknown } };
    return Array.isArray(process?.env) ? process.env.filter((each) => typeof each === "string") : [];
  } catch {
    return []; // of another runtime
  }
}
