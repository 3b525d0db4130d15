import assert from "node:assert/strict";
import { test } from "node:test";
import { metricName, parseStatusValue } from "./status-value.ts";

test("words, times and numbers have a value, other texts have none", () => {
  const cases: readonly (readonly [text: string, value: number | undefined])[] = [
    ["YES", 1],
    ["on", 1],
    ["Primary", 1],
    ["No", 0],
    ["DISABLED", 0],
    ["Connecting", 0],
    ["non-Primary", 0],
    ["42", 42],
    ["-1.5e3", -1500],
    ["2024-02-29 12:00:00", 1_709_208_000],
    ["2024-02-29 12:00:00.999", 1_709_208_000],
    ["Nov 21 17:08:53 2036 GMT", 2_110_900_133],
    ["Nov  1 17:08:53 2036 GMT", 2_109_172_133],
    ["0000-00-00 00:00:00", undefined],
    ["10.11.6-MariaDB", undefined],
    ["mysql-bin.000042", undefined],
    ["utf8mb4", undefined],
    ["", undefined],
  ];
  for (const [text, value] of cases) assert.equal(parseStatusValue(text), value, text);
});

test("names become names of metrics", () => {
  assert.equal(metricName("Com_show.x-y"), "com_show_x_y");
});
