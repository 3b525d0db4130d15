import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LogReader, type LogStream } from "./log-reader.ts";
import { Resumed } from "./positions.ts";

const TIME = "2024-05-06T07:08:09.000000012Z";
const SECONDS = Date.UTC(2024, 4, 6, 7, 8, 9) / 1_000;

function frame(stream: LogStream, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(8);
  header[0] = stream === "stdout" ? 1 : 2;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

function read(isTerminal: boolean, chunks: Iterable<Uint8Array>) {
  const lines: string[] = [];
  const reader = new LogReader(isTerminal, {
    line: (stream, seconds, nanos, data, start, end) => {
      lines.push(`${stream} ${seconds} ${nanos} ${Buffer.from(data.subarray(start, end)).toString("latin1")}`);
    },
    bad: (reason) => void lines.push(reason),
  });
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return lines;
}

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    yield bytes.subarray(at, at + sizes[i % sizes.length]!);
    at += sizes[i % sizes.length]!;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 });
const text = fc.stringMatching(/^[a-z ]{0,30}$/);

test("frames give their lines, wherever chunks end and however lines are cut into messages", () => {
  const line = fc.record({
    stream: fc.constantFrom<LogStream>("stdout", "stderr"),
    parts: fc.array(text, { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), sizes, (written, chunkSizes) => {
      const frames: Buffer[] = [];
      for (const { stream, parts } of written) {
        for (const [i, part] of parts.entries()) {
          frames.push(frame(stream, `${TIME} ${part}${i === parts.length - 1 ? "\n" : ""}`));
        }
      }
      const expected = written.map(({ stream, parts }) => `${stream} ${SECONDS} 12 ${parts.join("")}`);
      assert.deepEqual(read(false, cut(Buffer.concat(frames), chunkSizes)), expected);
    }),
  );
});

test("parts of lines of both streams may alternate", () => {
  const frames = [
    frame("stdout", `${TIME} a`),
    frame("stderr", `${TIME} x`),
    frame("stdout", `${TIME} b\n`),
    frame("stderr", `${TIME} y\n`),
    frame("stdout", `${TIME} not ended`),
  ];
  assert.deepEqual(read(false, frames), [
    `stdout ${SECONDS} 12 ab`,
    `stderr ${SECONDS} 12 xy`,
    `stdout ${SECONDS} 12 not ended`,
  ]);
});

test("a terminal's log gives its lines, wherever chunks end", () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 6 }), sizes, (written, chunkSizes) => {
      const bytes = Buffer.from(written.map((each) => `${TIME} ${each}\r\n`).join(""));
      const expected = written.map((each) => `stdout ${SECONDS} 12 ${each}`);
      assert.deepEqual(read(true, cut(bytes, chunkSizes)), expected);
    }),
  );
});

test("times with other fractions and zones, and lines without one", () => {
  assert.deepEqual(
    read(true, [
      Buffer.from("2024-05-06T09:08:09.5+02:00 a\n2024-05-06T07:08:09Z b\nno time\n2024-05-06T07:08:09.123456789Z c"),
    ]),
    [`stdout ${SECONDS} 500000000 a`, `stdout ${SECONDS} 0 b`, "no_timestamp", `stdout ${SECONDS} 123456789 c`],
  );
});

for (const isTerminal of [false, true]) {
  test(`passes over lines beyond 1 MiB and goes on: ${isTerminal ? "terminal" : "frames"}`, () => {
    const huge = "x".repeat(3 * 1024 * 1024);
    const lines = ["a", huge, "b"].map((each) => `${TIME} ${each}\n`);
    const bytes = Buffer.concat(lines.map((each) => (isTerminal ? Buffer.from(each) : frame("stdout", each))));
    const expected = [`stdout ${SECONDS} 12 a`, "line_too_long", `stdout ${SECONDS} 12 b`];
    assert.deepEqual(read(isTerminal, cut(bytes, [65_536])), expected);
  });
}

test("a line that is put together of more than 1 MiB is passed over", () => {
  const parts = Array.from({ length: 100 }, () => frame("stdout", `${TIME} ${"x".repeat(16_384)}`));
  const all = [...parts, frame("stdout", `${TIME} end\n`), frame("stdout", `${TIME} b\n`)];
  assert.deepEqual(read(false, all), ["line_too_long", `stdout ${SECONDS} 12 b`]);
});

test("what was confirmed is passed over once, also of lines with the same time", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 20, size: "max" }),
      fc.nat(),
      (steps, cutAt) => {
        let time = 100;
        const times = steps.map((step) => (time += step));
        const first = new Resumed(undefined);
        const sent = cutAt % (times.length + 1);
        for (const each of times.slice(0, sent)) assert.ok(first.take(1, each));
        const second = new Resumed(first.position);
        const again = times.filter((each) => second.take(1, each));
        assert.deepEqual(again, times.slice(sent));
        assert.deepEqual(new Resumed(second.position).take(1, 99), false);
      },
    ),
  );
});

test("once lines are new, a clock that was set back drops none", () => {
  const resumed = new Resumed({ seconds: 10, nanos: 0, lines: 1 });
  const taken = [9, 10, 11, 5, 6].map((seconds) => resumed.take(seconds, 0));
  assert.deepEqual(taken, [false, false, true, true, true]);
});
