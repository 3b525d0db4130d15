import { ProtoReader } from "../protobuf.ts";

/** A stream of a push request: its labels' text, its entries, and where its message lies, tag and length included. */
export interface PushStream {
  readonly labels: string;
  readonly entries: number;
  readonly start: number;
  readonly end: number;
}

/** The streams of a logproto.PushRequest, in order; joined requests may have one several times. Throws a ProtobufError. */
export function pushStreams(bytes: Uint8Array): readonly PushStream[] {
  const reader = new ProtoReader(bytes);
  const streams: PushStream[] = [];
  while (!reader.done) {
    const start = reader.position;
    const tag = reader.tag();
    if (tag !== 0x0a) {
      reader.skip(tag);
      continue;
    }
    const outer = reader.enter();
    let labels = "";
    let entries = 0;
    while (!reader.done) {
      const part = reader.tag();
      if (part === 0x0a) labels = reader.string();
      else {
        if (part === 0x12) entries += 1;
        reader.skip(part);
      }
    }
    reader.leave(outer);
    streams.push({ labels, entries, start, end: reader.position });
  }
  return streams;
}

/** A request made of some of another's streams. */
export function joinStreams(bytes: Uint8Array, streams: readonly PushStream[]): Uint8Array {
  return Buffer.concat(streams.map(({ start, end }) => bytes.subarray(start, end)));
}
