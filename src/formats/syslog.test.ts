import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  formatRfc5424,
  parseRawSyslog,
  parseRfc5424,
  Rfc3164Parser,
  SyslogError,
  type SyslogMessage,
  withCurrentYear,
} from "./syslog.ts";
import { FramingError, SyslogFramer } from "./syslog-framing.ts";

type Parse = (bytes: Uint8Array, start: number, end: number) => SyslogMessage;

/** The message that lies in the middle of other bytes, with its text, and without what is undefined. */
function read(parse: Parse, message: string): Record<string, unknown> {
  const bytes = Buffer.from(`##${message}##`);
  const parsed = parse(bytes, 2, bytes.length - 2);
  const { textStart, textEnd, structuredData, ms, ns, time, ...rest } = parsed;
  const shown: Record<string, unknown> = { text: bytes.toString("utf8", textStart, textEnd) };
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) shown[name] = value;
  if (time !== undefined) shown.at = `${new Date(ms).toISOString()}${ns === 0 ? "" : `+${ns}ns`}`;
  if (structuredData !== undefined) {
    shown.data = [...structuredData].map(([id, params]) => [id, ...[...params].flat()]);
  }
  return shown;
}
const modern = (message: string) => read(parseRfc5424, message);
const legacy = (message: string, parser = new Rfc3164Parser(undefined)) =>
  read((...where) => parser.parse(...where), message);

test("RFC 5424: the examples of the RFC", () => {
  assert.deepEqual(
    modern("<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' failed for lonvick"),
    {
      priority: 34,
      version: 1,
      hostname: "mymachine.example.com",
      appName: "su",
      msgId: "ID47",
      at: "2003-10-11T22:14:15.003Z",
      text: "\ufeff'su root' failed for lonvick",
    },
  );
  const { at } = modern("<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time.");
  assert.equal(at, "2003-08-24T12:14:15.000Z+3000ns");
  assert.deepEqual(
    modern('<165>1 - - - - - [ex@32473 iut="3" eventSource="A\\]\\"\\\\ü"][x@1 class="high"][empty]').data,
    [["ex@32473", "iut", "3", "eventSource", 'A]"\\ü'], ["x@1", "class", "high"], ["empty"]],
  );
});

test("RFC 5424: corners", () => {
  assert.deepEqual(modern("<0>999 - - - - - -"), { priority: 0, version: 999, text: "" });
  assert.equal(modern("<13>1 - - - - - - ").text, "");
  assert.equal(modern("<13>1 - - - - - -  two\nlines").text, " two\nlines");
  assert.deepEqual(modern('<13>1 - - - - - [a b="c\\d" b=""] x').data, [["a", "b", ""]]);
  for (const bad of [
    "",
    "13>1 - - - - - -",
    "<192>1 - - - - - -",
    "<013>1 - - - - - -",
    "<13>0 - - - - - -",
    "<13>1000 - - - - - -",
    "<13>1 - - - - -",
    "<13>1 - - - - - -x",
    "<13>1 - - - - - [a",
    "<13>1 - - - - - [a b]",
    '<13>1 - - - - - [a b="]"]',
    "<13>1 - - - - - [a][a]",
    "<13>1 - ü - - - -",
    `<13>1 - - ${"a".repeat(49)} - - -`,
    "<13>1 2026-02-30T00:00:00Z - - - - -",
    "<13>1 2026-02-01T24:00:00Z - - - - -",
    "<13>1 2026-02-01 - - - - -",
  ]) {
    assert.throws(() => modern(bad), SyslogError, bad);
  }
  assert.throws(() => modern("<13>Oct 11 22:14:15 h a: x"), /set `syslog_format = "rfc3164"`/);
});

test("RFC 3164, as go-syslog reads it", () => {
  const at = "0000-10-11T22:14:15.000Z";
  for (const [rest, expected] of [
    ["mymachine su: 'su root' failed", { hostname: "mymachine", appName: "su", text: "'su root' failed" }],
    ["h su[12]: two", { hostname: "h", appName: "su", procId: "12", text: "two" }],
    ["su: no host", { appName: "su", text: "no host" }],
    ["hello world", { hostname: "hello", text: "world" }],
    ["hello", { text: "hello" }],
    ["h a b: c", { hostname: "h", text: "a b: c" }],
    ["h a:c", { hostname: "h", appName: "a", text: "a:c" }],
    ["h  a: c", { hostname: "h", appName: "a", text: "c" }],
    ["h:  a: c", { appName: "h", text: " a: c" }],
    ["h a:  c \r", { hostname: "h", appName: "a", text: " c \r" }],
    ["h a: ", { hostname: "h", appName: "a", text: "a: " }],
    ["h a:", { hostname: "h", appName: "a", text: "a:" }],
    ["h a[]: z", { hostname: "h", appName: "a", text: "z" }],
    ["fe80::1 a: c", { appName: "fe80", text: "fe80::1 a: c" }],
    ["h é: z", { hostname: "h", text: "é: z" }],
    ["é a: z", { text: "é a: z" }],
    [`h ${"a".repeat(49)}: z`, { hostname: "h", text: `${"a".repeat(49)}: z` }],
    // Alloy loses the text of these, or its begin.
    ["h a[1]b: c", { hostname: "h", appName: "a", procId: "1", text: "a[1]b: c" }],
    ["h a[: c", { hostname: "h", appName: "a", text: "a[: c" }],
    ["h a: x\x01\ny\r\n", { hostname: "h", appName: "a", text: "x\x01\ny" }],
  ] as const) {
    assert.deepEqual(legacy(`<13>Oct 11 22:14:15 ${rest}`), { priority: 13, at, ...expected }, rest);
  }
  assert.equal(legacy("<13>  Oct  1 22:14:15   h a: x").at, "0000-10-01T22:14:15.000Z");
  assert.equal(legacy("<13>Oct 11 22:14:15").text, "");
  for (const bad of [
    "<13>hello",
    "<13>Oct 01 22:14:15 h y",
    "<13>Feb 30 22:14:15 h y",
    "<13>Oct 11 22:14:15.1 h y",
    "<13>Oct 11 22:14:15: y",
    "<192>Oct 11 22:14:15 y",
  ]) {
    assert.throws(() => legacy(bad), SyslogError, bad);
  }
});

test("Cisco's additions", () => {
  const all = { messageCounter: true, sequenceNumber: true, hostname: true, secondFractions: true };
  const only = (of: Partial<typeof all>) =>
    new Rfc3164Parser({ messageCounter: false, sequenceNumber: false, hostname: false, secondFractions: false, ...of });
  const full = "<189>237: 000104: host1: *Jan  8 19:46:03.295: %SYS-5-X: msg";
  assert.deepEqual(legacy(full, only(all)), {
    priority: 189,
    messageCounter: "237",
    sequence: "104",
    hostname: "host1",
    appName: "%SYS-5-X",
    at: "0000-01-08T19:46:03.295Z",
    text: "msg",
  });
  for (const each of Object.keys(all)) assert.throws(() => legacy(full, only({ [each]: true })), SyslogError);
  const short = "<189>237: *Jan  8 19:46:03: %SYS-5-X: msg";
  assert.equal(legacy(short, only({ messageCounter: true })).messageCounter, "237");
  assert.equal(legacy(short, only({ sequenceNumber: true })).sequence, "237");
  assert.equal(legacy(short, only({ hostname: true })).hostname, "237");
  assert.equal(legacy("<189>: 5: Jan  8 19:46:03 h a: b", only(all)).messageCounter, "0");
});

test("raw lines give up their priority and the white space around them", () => {
  assert.deepEqual(read(parseRawSyslog, "<13> CEF:0|x \r"), { priority: 13, text: "CEF:0|x" });
  for (const line of ["<256>x", "<>x", "<1x>y", "<", "x"]) {
    assert.deepEqual(read(parseRawSyslog, line), { text: line });
  }
});

test("times without a year get the one that is nearest", () => {
  const at = (month: number) => new Date(0).setUTCFullYear(0, month, 5);
  const moved = (month: number, now: Date) =>
    new Date(withCurrentYear(at(month), now.getTime())).toISOString().slice(0, 10);
  assert.equal(moved(5, new Date(2026, 10, 21)), "2026-06-05");
  assert.equal(moved(11, new Date(2026, 0, 1)), "2025-12-05");
  assert.equal(moved(0, new Date(2026, 11, 31)), "2027-01-05");
});

const word = (max: number) =>
  fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: max,
  });
const name = word(32).filter((text) => !/[="\]]/.test(text));

test("what is formatted as RFC 5424 is read again as it was", () => {
  const message = fc.record({
    priority: fc.integer({ min: 0, max: 191 }),
    version: fc.integer({ min: 1, max: 999 }),
    hostname: fc.option(word(255), { nil: undefined }),
    appName: fc.option(word(48), { nil: undefined }),
    procId: fc.option(word(128), { nil: undefined }),
    msgId: fc.option(word(32), { nil: undefined }),
    time: fc.option(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }), { nil: undefined }),
    data: fc.dictionary(name, fc.dictionary(name, fc.string({ unit: "grapheme" }))),
    text: fc.string({ unit: "grapheme" }),
  });
  fc.assert(
    fc.property(message, ({ data, time, text, ...fields }) => {
      const structuredData = new Map(Object.entries(data).map(([id, params]) => [id, new Map(Object.entries(params))]));
      const nothing = { messageCounter: undefined, sequence: undefined, ms: 0, ns: 0, textStart: 0, textEnd: 0 };
      const given = { ...nothing, ...fields, structuredData, time: time?.toISOString() };
      const formatted = Buffer.from(formatRfc5424(given, text));
      const parsed = parseRfc5424(formatted, 0, formatted.length);
      assert.equal(formatted.toString("utf8", parsed.textStart, parsed.textEnd), Buffer.from(text).toString());
      assert.equal(formatRfc5424(parsed, text), formatted.toString());
      assert.equal(parsed.ms, time?.getTime() ?? 0);
      assert.equal(parsed.hostname, fields.hostname === "-" ? undefined : fields.hostname);
    }),
  );
});

test("no bytes make the parsers fail in any other way", () => {
  const begin = fc.constantFrom(
    "",
    "<13>",
    "<13>1 ",
    "<13>1 - h a - - ",
    "<13>1 - h a - - [a ",
    "<13>Oct 11 22:14:15 ",
    "<13>Oct 11 22:14:15 h a[",
  );
  const parser = new Rfc3164Parser({
    messageCounter: true,
    sequenceNumber: true,
    hostname: true,
    secondFractions: true,
  });
  fc.assert(
    fc.property(begin, fc.uint8Array({ maxLength: 60 }), (prefix, tail) => {
      const bytes = Buffer.concat([Buffer.from(prefix), tail]);
      for (const parse of [parseRfc5424, parser.parse.bind(parser), parseRawSyslog]) {
        try {
          const { textStart, textEnd } = parse(bytes, 0, bytes.length);
          assert.ok(0 <= textStart && textStart <= textEnd && textEnd <= bytes.length);
        } catch (error) {
          assert.ok(error instanceof SyslogError, String(error));
        }
      }
    }),
  );
});

const OPTIONS = { raw: false, delimiter: 10, maxLength: 8_192 };

/** The messages of a stream that comes in these pieces; `"!"` and the reason at the end if it cannot be read. */
function frames(pieces: readonly Uint8Array[], options = OPTIONS): string[] {
  const found: string[] = [];
  const framer = new SyslogFramer(options, (bytes, start, end) => {
    found.push(Buffer.from(bytes.subarray(start, end)).toString("latin1"));
  });
  try {
    for (const piece of pieces) framer.push(piece);
    framer.end();
  } catch (error) {
    assert.ok(error instanceof FramingError, String(error));
    found.push(`!${error.message}`);
  }
  return found;
}
const inOne = (text: string, options = OPTIONS) => frames([Buffer.from(text, "latin1")], options);

test("framing by newlines and by octets", () => {
  assert.deepEqual(inOne("<1>a\n<2>b\n"), ["<1>a", "<2>b"]);
  assert.deepEqual(inOne("<1>a\n\n more\n<2>b"), ["<1>a\n\n more", "<2>b"]);
  assert.deepEqual(inOne("5 <1>a\n6 <2>b\n\n\n4 <3>c"), ["<1>a\n", "<2>b\n\n", "<3>c"]);
  assert.deepEqual(inOne(""), []);
  assert.match(inOne("hello\n")[0]!, /^!a stream of syslog begins with `<` or with a length, not with "h"/);
  assert.match(inOne("99999 <1>")[0]!, /^!message length \(99999\) exceeds maximum length \(8192\)/);
  assert.match(inOne("4 <1>a<2>b")[1]!, /^!expecting the length of a message and a space, found "<2>b"/);
  assert.match(inOne("0 <1>")[0]!, /^!expecting the length/);
  assert.match(inOne("3 abc")[0]!, /^!expecting `<`/);
  assert.match(inOne("12345678901")[0]!, /more than 10 digits/);
  assert.match(inOne("9 <1>a")[0]!, /^!the connection ended within a message/);
  assert.match(inOne(`<1>${"a".repeat(1024 * 1024)}`)[0]!, /^!a message has more than 1048576 bytes/);
});

test("framing of raw lines", () => {
  const raw = { ...OPTIONS, raw: true };
  assert.deepEqual(inOne("CEF:0\n\n<1>b\n3 abcx\ntail", raw), ["CEF:0", "", "<1>b", "abc", "x", "tail"]);
  assert.deepEqual(inOne("a\nb\0c\0", { ...raw, delimiter: 0 }), ["a\nb", "c"]);
  assert.match(inOne("2026-01-01 x\n", raw)[0]!, /^!expecting the length/);
});

test("a message at the end of what has come waits for a line that may belong to it, until it is flushed", () => {
  const found: string[] = [];
  const framer = new SyslogFramer(OPTIONS, (bytes, start, end) => {
    found.push(Buffer.from(bytes.subarray(start, end)).toString());
  });
  framer.push(Buffer.from("<1>a\n"));
  assert.deepEqual([found.length, framer.held], [0, true]);
  framer.push(Buffer.from("more\n"));
  framer.flush();
  assert.deepEqual(found, ["<1>a\nmore"]);
  assert.equal(framer.held, false);
  framer.push(Buffer.from("<2>b"));
  framer.flush();
  framer.push(Buffer.from("c\n"));
  framer.end();
  assert.deepEqual(found, ["<1>a\nmore", "<2>bc"]);
});

test("where a stream is cut into pieces makes no difference", () => {
  const text = fc.string({ unit: fc.constantFrom("<", "1", " ", "\n", "a", "\0", "é", ">"), maxLength: 40 });
  const message = fc.oneof(
    text,
    text.map((each) => `<13>${each}\n`),
    text.map((each) => `${each.length + 1} <${each}`),
  );
  const options = fc.constantFrom(OPTIONS, { ...OPTIONS, raw: true }, { ...OPTIONS, raw: true, delimiter: 0 });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 6 }),
      fc.array(fc.nat(200), { maxLength: 8 }),
      options,
      (parts, cuts, of) => {
        const whole = Buffer.from(parts.join(""), "latin1");
        const places = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
        const pieces = places.slice(1).map((to, i) => whole.subarray(places[i], to));
        const strip = (found: string[]) => found.map((each) => each.replace(/, (found|of which).*/, ""));
        assert.deepEqual(strip(frames(pieces, of)), strip(frames([whole], of)));
      },
    ),
    { numRuns: 1000 },
  );
});
