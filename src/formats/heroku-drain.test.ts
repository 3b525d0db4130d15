import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DrainFrameError, DrainMessageError, HerokuDrain } from "./heroku-drain.ts";

const frame = (text: string) => `${Buffer.byteLength(text)} ${text}`;

interface Read {
  readonly labels: readonly string[];
  readonly ms: number;
  readonly ns: number;
  readonly text: string;
}

function readAll(body: string | Uint8Array): { readonly read: Read[]; readonly problems: string[] } {
  const drain = new HerokuDrain(Buffer.from(body as string));
  const read: Read[] = [];
  const problems: string[] = [];
  while (drain.next()) {
    try {
      drain.read();
    } catch (error) {
      assert.ok(error instanceof DrainMessageError, String(error));
      problems.push(error.message);
      continue;
    }
    const { hostname, application, process, id, ms, ns, textStart, textEnd } = drain;
    read.push({
      labels: [hostname, application, process, id],
      ms,
      ns,
      text: drain.bytes.utf8Slice(textStart, textEnd),
    });
  }
  return { read, problems };
}

test("reads what Heroku's router and an application write", () => {
  const router =
    '<158>1 2026-06-13T14:52:23.622778+00:00 host heroku router - at=info method=GET path="/" dyno=web.1 status=200\n';
  const app = "<190>1 2026-06-13T14:52:23.621815Z host app web.1 - [ok] ünïcode\n";
  assert.deepEqual(readAll(frame(router) + frame(app)), {
    read: [
      {
        labels: ["host", "heroku", "router", "-"],
        ms: Date.UTC(2026, 5, 13, 14, 52, 23, 622),
        ns: 778_000,
        text: 'at=info method=GET path="/" dyno=web.1 status=200\n',
      },
      {
        labels: ["host", "app", "web.1", "-"],
        ms: Date.UTC(2026, 5, 13, 14, 52, 23, 621),
        ns: 815_000,
        text: "[ok] ünïcode\n",
      },
    ],
    problems: [],
  });
});

test("zones, missing times, control characters, and newlines between messages", () => {
  const body = [
    "<0>1 2026-01-01T00:30:00+01:30 h a p i x",
    "<255>12 - h\xc3\xa9 a p - ",
    "<1>1 2024-02-29T23:59:59.1234567891Z h a p - \b\b 10%",
  ].map((text) => frame(text));
  const { read, problems } = readAll(body.join("\r\n"));
  assert.deepEqual(problems, []);
  assert.deepEqual(
    read.map(({ ms, ns }) => [ms, ns]),
    [
      [Date.UTC(2025, 11, 31, 23, 0), 0],
      [Number.NaN, 0],
      [Date.UTC(2024, 1, 29, 23, 59, 59, 123), 456_789],
    ],
  );
  assert.deepEqual(
    read.map(({ text }) => text),
    ["x", "", "\b\b 10%"],
  );
});

for (const [text, message] of [
  ["", /expecting a priority/],
  ["no syslog at all", /expecting a priority and a version such as "<190>1", found "no syslog/],
  ["<999>1 - h a p - x", /expecting/],
  ["<190>1 yesterday h a p - x", /expecting a time such as/],
  ["<190>1 2026-02-30T00:00:00Z h a p - x", /there is no such day: 2026-02-30/],
  ["<190>1 2026-13-01T00:00:00Z h a p - x", /there is no such day/],
  ["<190>1 2026-02-03T00:00:00Z h a p", /expecting host, application, process and message id/],
] as const) {
  test(`says what is wrong with ${JSON.stringify(text)}, and goes on`, () => {
    const good = "<1>1 - h a p - good";
    const { read, problems } = readAll(frame(text) + frame(good));
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, message);
    assert.equal(read[0]!.text, "good");
  });
}

for (const [body, message] of [
  ["xxxxxxxxxxxx", /expecting the length of a message and a space at byte 0, found "xxxxxxxxxxxx"/],
  [" 65 <190>1", /expecting the length/],
  ["12", /expecting the length/],
  ["9999999999 x", /expecting the length/],
  ["70 <190>1 short", /ends within a message: it has 12 of 70 bytes from byte 3 on/],
] as const) {
  test(`cannot split ${JSON.stringify(body)}`, () => {
    assert.throws(
      () => readAll(body),
      (error) => error instanceof DrainFrameError && message.test(error.message),
    );
  });
}

test("whatever comes, whole messages are read, and nothing but the two errors is thrown", () => {
  const word = fc.stringMatching(/^[!-~é]{1,10}$/);
  const message = fc
    .record({
      pri: fc.nat(255),
      time: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }),
      words: fc.tuple(word, word, word, word),
      text: fc.string({ unit: "grapheme" }),
    })
    .map(({ pri, time, words, text }) => ({
      words,
      ms: time.getTime(),
      text,
      raw: `<${pri}>1 ${time.toISOString()} ${words.join(" ")} ${text}`,
    }));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.nat(), fc.string({ maxLength: 3 }), (given, place, insert) => {
      const body = given.map(({ raw }) => frame(raw)).join("");
      assert.deepEqual(
        readAll(body).read,
        given.map(({ words, ms, text }) => ({ labels: [...words], ms, ns: 0, text })),
      );
      const at = place % (body.length + 1);
      try {
        readAll(body.slice(0, at) + insert + body.slice(at + 1));
      } catch (error) {
        assert.ok(error instanceof DrainFrameError, String(error));
      }
    }),
  );
});
