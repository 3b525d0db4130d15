import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { timeParser } from "./formats.ts";
import { GoLayout, type Instant, parseRfc3339 } from "./go-time.ts";
import { NAMED_LAYOUTS } from "./layout.ts";
import { TimeZone } from "./zone.ts";

function show({ ms, ns }: Instant): string {
  return `${new Date(ms).toISOString().slice(0, -1)}${String(ns).padStart(6, "0")}`;
}
function parse(layout: string, text: string, zone = "UTC"): string | undefined {
  const instant = { ms: 0, ns: 0 };
  return new GoLayout(layout).parse(text, TimeZone.load(zone), instant) === undefined ? undefined : show(instant);
}

// Expected values are what Go 1.26 gives for time.ParseInLocation.
for (const [layout, text, zone, expected] of [
  ["2006-01-02", "2024-02-29", "UTC", "2024-02-29T00:00:00.000000000"],
  ["2006-01-02", "2023-02-29", "UTC", undefined],
  ["06-1-2", "69-3-4", "UTC", "1969-03-04T00:00:00.000000000"],
  ["06-1-2", "68-3-4", "UTC", "2068-03-04T00:00:00.000000000"],
  ["2006-002", "2024-060", "UTC", "2024-02-29T00:00:00.000000000"],
  ["2006-002", "2023-366", "UTC", undefined],
  ["2006 __2", "2023  60", "UTC", "2023-03-01T00:00:00.000000000"],
  ["3:04PM", "12:30AM", "UTC", "0000-01-01T00:30:00.000000000"],
  ["3:04pm 2006", "1:30pm 2020", "UTC", "2020-01-01T13:30:00.000000000"],
  ["15:04:05 2006", "24:00:00 2020", "UTC", undefined],
  ["15:04:05 2006", "23:59:60 2020", "UTC", undefined],
  ["15:04:05 2006", "1:02:03.25 2020", "UTC", "2020-01-01T01:02:03.250000000"],
  ["05.000 2006", "03.25 2020", "UTC", undefined],
  ["05.999 2006", "03.1234567891 2020", "UTC", "2020-01-01T00:00:03.123456789"],
  ["05,000 2006", "03,123 2020", "UTC", "2020-01-01T00:00:03.123000000"],
  ["Jan 2 2006", "JAN 2 2020", "UTC", "2020-01-02T00:00:00.000000000"],
  ["Monday Jan 2 2006", "friday Feb 3 2020", "UTC", "2020-02-03T00:00:00.000000000"],
  ["Month Jan 2006", "Month Feb 2020", "UTC", "2020-02-01T00:00:00.000000000"],
  ["_2 2006", " 5 2020", "UTC", "2020-01-05T00:00:00.000000000"],
  ["2006 -07", "2020 +05", "UTC", "2019-12-31T19:00:00.000000000"],
  ["2006 -07:00:00", "2020 -00:30:15", "UTC", "2020-01-01T00:30:15.000000000"],
  ["2006 Z0700", "2020 Z", "America/New_York", "2020-01-01T00:00:00.000000000"],
  ["2006 MST", "2020 EST", "America/New_York", "2020-01-01T05:00:00.000000000"],
  ["2006 MST", "2020 EST", "UTC", "2020-01-01T00:00:00.000000000"],
  ["2006 MST", "2020 GMT-8", "UTC", "2020-01-01T00:00:00.000000000"],
  ["2006 MST", "2020 CEST", "UTC", "2020-01-01T00:00:00.000000000"],
  ["2006 MST", "2020 ABCDEF", "UTC", undefined],
  ["2006 15", "2020  7", "UTC", "2020-01-01T07:00:00.000000000"],
  ["2006-01-02 15:04", "2024-03-10 02:30", "America/New_York", "2024-03-10T06:30:00.000000000"],
  ["2006-01-02 15:04", "2024-11-03 01:30", "America/New_York", "2024-11-03T05:30:00.000000000"],
  ["2006-01-02 15:04", "2024-07-01 12:00", "Asia/Kolkata", "2024-07-01T06:30:00.000000000"],
  ["2006-01-02", "2020-01-02x", "UTC", undefined],
  ["2006-01-02", "", "UTC", undefined],
] as const) {
  test(`parses ${JSON.stringify(text)} as ${JSON.stringify(layout)} in ${zone}`, () =>
    assert.equal(parse(layout, text, zone), expected));
}

// 2024-07-09 08:05:04.001020300 UTC
const SAMPLE = { ms: Date.UTC(2024, 6, 9, 8, 5, 4, 1), ns: 20_300 };
for (const [layout, zone, expected] of [
  [NAMED_LAYOUTS.get("ANSIC")!, "UTC", "Tue Jul  9 08:05:04 2024"],
  [NAMED_LAYOUTS.get("RFC850")!, "UTC", "Tuesday, 09-Jul-24 08:05:04 UTC"],
  [NAMED_LAYOUTS.get("RFC3339Nano")!, "UTC", "2024-07-09T08:05:04.0010203Z"],
  [NAMED_LAYOUTS.get("RFC3339Nano")!, "Europe/Berlin", "2024-07-09T10:05:04.0010203+02:00"],
  ["3:4:5pm .000 .999 ,000000", "America/New_York", "4:5:4am .001 .001 ,001020"],
  ["January 1 002 __2 MST -0700", "America/New_York", "July 7 191 191 EDT -0400"],
  ["Z07 Z07:00:00 MST", "Europe/London", "+01 +01:00:00 BST"],
  ["plain", "UTC", "plain"],
] as const) {
  test(`formats ${JSON.stringify(layout)} in ${zone}`, () =>
    assert.equal(new GoLayout(layout).format(SAMPLE, TimeZone.load(zone)), expected));
}

test("what a layout formats it parses back", () => {
  const zones = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Chatham"];
  const layouts = [...NAMED_LAYOUTS.values()]
    .filter((layout) => /0700|07:00/.test(layout))
    .concat("Jan _2 2006 3:04:05.000000000PM -07:00");
  fc.assert(
    fc.property(
      fc.integer({ min: -5e9, max: 2e9 }),
      fc.nat(999),
      fc.nat(999_999),
      fc.constantFrom(...zones),
      fc.constantFrom(...layouts),
      (seconds, millis, ns, zone, layout) => {
        const exact = /\.(9{9}|0{9})/.test(layout);
        const minutes = !/05/.test(layout);
        const shortYear = !layout.includes("2006");
        // What the layout does not show is zero; two digits stand for years from 1969 on; old zones have odd seconds.
        const base = shortYear || seconds < 0 ? Math.abs(seconds) % 2e9 : seconds;
        const instant = { ms: (minutes ? base - (base % 60) : base) * 1000 + (exact ? millis : 0), ns: exact ? ns : 0 };
        const loaded = TimeZone.load(zone);
        const back = { ms: 0, ns: 0 };
        const text = new GoLayout(layout).format(instant, loaded);
        assert.notEqual(new GoLayout(layout).parse(text, loaded, back), undefined, text);
        assert.deepEqual(back, instant, text);
      },
    ),
    { numRuns: 200 },
  );
});

test("RFC 3339 from bytes: the fast way and the full parser agree", () => {
  const full = new GoLayout(NAMED_LAYOUTS.get("RFC3339Nano")!);
  const check = (text: string) => {
    const bytes = Buffer.from(`ab${text}cd`);
    const fast = { ms: -1, ns: -1 };
    const slow = { ms: -1, ns: -1 };
    const accepted = parseRfc3339(bytes, 2, bytes.length - 2, fast);
    assert.equal(accepted, full.parse(text, TimeZone.utc, slow) !== undefined, text);
    if (accepted) assert.deepEqual(fast, slow, text);
  };
  for (const text of [
    "2024-02-29T23:59:59Z",
    "2023-02-29T00:00:00Z",
    "2024-02-29T23:59:59.1234567899+23:59",
    "2024-1-1T00:00:00Z",
    "2024-01-01T0:00:00Z",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00,5Z",
    "2024-01-01T24:00:00Z",
    "0000-01-01T00:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00+99:00",
    "2024-01-01T00:00:00-0100",
    "2024-01-01t00:00:00Z",
    "",
  ])
    check(text);
  const part = fc.constantFrom(
    "2024",
    "1999",
    "-",
    "01",
    "12",
    "31",
    "T",
    "23",
    ":",
    "59",
    ".5",
    ".123456789",
    "Z",
    "+02:00",
    "x",
  );
  const date = fc.tuple(
    fc.constantFrom("2024-02-28", "1970-01-01", "2024-02-30"),
    fc.constantFrom("T", " "),
    fc.constantFrom("00:00:00", "23:59:59", "23:60:00"),
    fc.array(part, { maxLength: 3 }),
  );
  fc.assert(
    fc.property(date, ([day, t, time, rest]) => check(day + t + time + rest.join(""))),
    { numRuns: 500 },
  );
});

test("Unix formats", () => {
  const at = (format: string, text: string) => {
    const instant = { ms: 0, ns: 0 };
    return timeParser(format, TimeZone.utc, () => 0)(text, instant) ? [instant.ms, instant.ns] : undefined;
  };
  assert.deepEqual(at("Unix", "1.5"), [1_500, 0]);
  assert.deepEqual(at("Unix", "-1"), [-1_000, 0]);
  assert.deepEqual(at("Unix", "1.000000001"), [1_000, 1]);
  assert.deepEqual(at("UnixMs", "-1"), [-1, 0]);
  assert.deepEqual(at("UnixUs", "1500"), [1, 500_000]);
  assert.deepEqual(at("UnixNs", "-1"), [-1, 999_999]);
  for (const text of ["", "x", "1.", ".5", "1.2.3", " 1", "1e3", "0x1"])
    assert.equal(at("Unix", text), undefined, text);
});

test("a layout without a year: around New Year, and on the 29th of February", () => {
  const at = (now: number, layout: string, text: string) => {
    const instant = { ms: 0, ns: 0 };
    return timeParser(layout, TimeZone.utc, () => now)(text, instant) ? show(instant).slice(0, 10) : undefined;
  };
  assert.equal(at(Date.UTC(2025, 11, 31), "Jan 2 15:04", "Jan 1 00:01"), "2026-01-01");
  assert.equal(at(Date.UTC(2026, 0, 1), "Jan 2 15:04", "Dec 31 23:59"), "2025-12-31");
  assert.equal(at(Date.UTC(2026, 5, 1), "Jan 2 15:04", "Dec 31 23:59"), "2026-12-31");
  assert.equal(at(Date.UTC(2025, 5, 1), "Jan 2 15:04", "Feb 29 12:00"), "2025-03-01");
  assert.equal(at(Date.UTC(2024, 5, 1), "Jan 2 15:04", "Feb 29 12:00"), "2024-02-29");
});

test("time zones: names that there are and are not", () => {
  assert.equal(TimeZone.load("").name, "UTC");
  assert.equal(TimeZone.load("Europe/Berlin").offsetAt(1_720_000_000), 7_200);
  for (const name of ["Mars/Olympus", "+02:00", "x y"]) assert.throws(() => TimeZone.load(name), /unknown time zone/);
});
