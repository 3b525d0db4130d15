import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sliceable } from "#pipeline/log-batch";
import { ProtobufError } from "../protobuf.ts";
import { PushRequestEncoder } from "./encode.ts";
import { decodePush } from "./loki-push.ts";
import { joinStreams, pushStreams } from "./streams.ts";

function encode(streams: readonly (readonly string[])[]): Buffer {
  const encoder = new PushRequestEncoder();
  streams.forEach((lines, i) => {
    const stream = encoder.stream(Buffer.from(`{s="${i}"}`));
    for (const line of lines) {
      const data = sliceable(Buffer.from(line));
      encoder.add(stream, 1_700_000_000_000, 0, data, 0, data.length, line === "" ? undefined : ["name", line]);
    }
  });
  return Buffer.from(encoder.finish());
}

test("finds the streams of a request, and joins some of them to one that has just those", () => {
  const lines = fc.array(fc.string(), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(lines, { maxLength: 8 }), fc.infiniteStream(fc.boolean()), (input, choice) => {
      const bytes = encode(input);
      const streams = pushStreams(bytes);
      assert.deepEqual(
        streams.map(({ labels, entries }) => [labels, entries]),
        input.map(({ length }, i) => [`{s="${i}"}`, length]),
      );
      const kept = streams.filter(() => choice.next().value);
      const { batch } = decodePush(joinStreams(bytes, kept));
      assert.equal(
        batch.count,
        kept.reduce((sum, { entries }) => sum + entries, 0),
      );
      assert.deepEqual(
        batch.streams.map(String),
        kept.map(({ labels }) => labels),
      );
    }),
  );
});

test("what is no request throws, and nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        pushStreams(bytes);
      } catch (error) {
        assert.ok(error instanceof ProtobufError);
      }
    }),
  );
});
