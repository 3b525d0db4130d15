import assert from "node:assert/strict";
import { test } from "node:test";
import { labelName, prometheusName, ucumUnit } from "./metrics-names.ts";

const gauge = (name: string, unit = "") => prometheusName({ name, unit, isGauge: true, isMonotonicSum: false }, true);
const counter = (name: string, unit = "") => prometheusName({ name, unit, isGauge: false, isMonotonicSum: true }, true);
const other = (name: string, unit = "") => prometheusName({ name, unit, isGauge: false, isMonotonicSum: false }, true);

test("names get words for their unit and type", () => {
  assert.equal(gauge("system.filesystem.usage", "By"), "system_filesystem_usage_bytes");
  assert.equal(counter("system.io", "By"), "system_io_bytes_total");
  assert.equal(counter("requests_total"), "requests_total");
  assert.equal(counter("total.requests"), "requests_total");
  assert.equal(gauge("hw.gpu.utilization", "1"), "hw_gpu_utilization_ratio");
  assert.equal(counter("hw.gpu.utilization", "1"), "hw_gpu_utilization_total");
  assert.equal(other("lat", "ms"), "lat_milliseconds");
  assert.equal(other("lat.seconds", "s"), "lat_seconds");
  assert.equal(gauge("fuel", "m/h"), "fuel_meters_per_hour");
  assert.equal(gauge("rate.per.second", "By/s"), "rate_per_second_bytes");
  assert.equal(gauge("tasks", "{task}"), "tasks");
  assert.equal(gauge("tasks", "{task}/s"), "tasks_per_second");
  assert.equal(gauge("things", "blue widgets"), "things_blue_widgets");
  assert.equal(gauge("5xx"), "_5xx");
  assert.equal(gauge("Größe-in m", "m"), "Größe_in_m_meters");
});

test("without suffixes only forbidden characters go", () => {
  const plain = (name: string) => prometheusName({ name, unit: "By", isGauge: false, isMonotonicSum: true }, false);
  assert.equal(plain("system.io"), "system_io");
  assert.equal(plain("a::b_c"), "a::b_c");
  assert.equal(plain("1st"), "_1st");
  assert.equal(plain("..a..b.."), "a_b");
});

test("keys of attributes become label names", () => {
  const names = ["http.method", "1a", "_x", "__x", "", "a b/c", "ä"].map(labelName);
  assert.deepEqual(names, ["http_method", "key_1a", "key_x", "__x", "", "a_b_c", "ä"]);
});

test("units in words become UCUM's", () => {
  const units = ["seconds", "bytes_per_second", "ratio", "widgets", "", "celsius_per_fortnight"].map(ucumUnit);
  assert.deepEqual(units, ["s", "By/s", "1", "widgets", "", "Cel/fortnight"]);
});
