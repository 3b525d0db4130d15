import { ProtoReader } from "#formats/protobuf";

export interface WrittenSeries {
  readonly labels: ReadonlyMap<string, string>;
  readonly samples: readonly { readonly timestamp: number; readonly value: number }[];
}

/** The series of a remote-write 1.0 request (`prompb.WriteRequest`), without exemplars and histograms. */
export function decodeWrite(body: Uint8Array): WrittenSeries[] {
  const reader = new ProtoReader(body);
  const all: WrittenSeries[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >> 3 === 1) all.push(within(reader, series));
    else reader.skip(tag);
  }
  return all;
}

function series(reader: ProtoReader): WrittenSeries {
  const labels = new Map<string, string>();
  const samples: { timestamp: number; value: number }[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >> 3 === 1) {
      const [name, value] = within(reader, pair);
      labels.set(name, value);
    } else if (tag >> 3 === 2) samples.push(within(reader, sample));
    else reader.skip(tag);
  }
  return { labels, samples };
}

function pair(reader: ProtoReader): [name: string, value: string] {
  const both: [string, string] = ["", ""];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >> 3 === 1) both[0] = reader.string();
    else if (tag >> 3 === 2) both[1] = reader.string();
    else reader.skip(tag);
  }
  return both;
}

function sample(reader: ProtoReader): { timestamp: number; value: number } {
  const read = { timestamp: 0, value: 0 };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >> 3 === 1) read.value = reader.double();
    else if (tag >> 3 === 2) read.timestamp = reader.int64Number();
    else reader.skip(tag);
  }
  return read;
}

function within<T>(reader: ProtoReader, read: (reader: ProtoReader) => T): T {
  const after = reader.enter();
  const value = read(reader);
  reader.leave(after);
  return value;
}
