import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtobufError, ProtoWriter } from "#formats/protobuf";
import { parseContainerAnswer, parseTaskAnswer } from "./containerd-client.ts";

function message(write: (writer: ProtoWriter) => void): Uint8Array {
  const writer = new ProtoWriter();
  const mark = writer.begin(1);
  write(writer);
  writer.end(mark);
  return writer.finish();
}

function pair(writer: ProtoWriter, field: number, first: string, second: string): void {
  const mark = writer.begin(field);
  writer.string(1, first);
  writer.string(2, second);
  writer.end(mark);
}

test("a container has its labels, its image and the environment of its process", () => {
  const specification = JSON.stringify({ process: { env: ["A=1", "B=2", 3] } });
  const answer = message((writer) => {
    writer.string(1, "id");
    pair(writer, 2, "app", "web");
    pair(writer, 2, "tier", "");
    writer.string(3, "docker.io/library/app:1");
    pair(writer, 5, "types.containerd.io/spec", specification);
    writer.string(6, "overlayfs");
  });
  const container = parseContainerAnswer(answer);
  assert.deepEqual(
    [...container.labels],
    [
      ["app", "web"],
      ["tier", ""],
    ],
  );
  assert.equal(container.image, "docker.io/library/app:1");
  assert.deepEqual(container.environment, ["A=1", "B=2"]);
  assert.deepEqual(parseContainerAnswer(message((writer) => pair(writer, 5, "x", "no JSON"))).environment, []);
});

test("a task whose state is not known has no process", () => {
  const task = (pid: number, status: number) =>
    message((writer) => {
      writer.string(1, "id");
      writer.tag(3, 0);
      writer.rawVarint(pid);
      writer.tag(4, 0);
      writer.rawVarint(status);
    });
  assert.equal(parseTaskAnswer(task(4711, 2)), 4711);
  assert.equal(parseTaskAnswer(task(4711, 0)), undefined);
  assert.equal(parseTaskAnswer(new Uint8Array()), undefined);
});

test("bytes that are no answer are an error of the format at most", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      for (const parse of [parseContainerAnswer, parseTaskAnswer]) {
        try {
          parse(bytes);
        } catch (error) {
          assert.ok(error instanceof ProtobufError);
        }
      }
    }),
  );
});
