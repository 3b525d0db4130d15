import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { ManualClock } from "#base/manual-clock.testing";
import { until } from "#base/until.testing";
import { type StartOptions, startComponent } from "#pipeline/testing";
import statsd from "./prometheus.exporter.statsd.ts";

const TCP = 'listen_udp = ""\nlisten_tcp = "127.0.0.1:0"\nevent_flush_interval = "5ms"\n';

async function start(t: TestContext, config: string, options: StartOptions = {}) {
  const component = await startComponent(statsd, config, options);
  cleanUp(t, () => component.stop());
  const info = () => component.instance.debugInfo!() as { listen_addresses: string[]; series: number };
  const ready = (sockets = 1) =>
    until(() => info().listen_addresses.length === sockets || component.failures.length > 0, "it listens");
  async function page(): Promise<Map<string, number>> {
    const request = { method: "GET", path: "/metrics", query: new URLSearchParams(), headers: new Map() };
    const { signal } = new AbortController();
    const answer = await component.instance.http!({ ...request, body: async () => new Uint8Array() }, signal);
    const lines = answer.body
      .toString()
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
    );
  }
  async function untilOn(series: string, value?: number): Promise<Map<string, number>> {
    let seen: Map<string, number> = new Map();
    const end = performance.now() + 60_000;
    while (!(value === undefined ? seen.has(series) : seen.get(series) === value)) {
      assert.ok(performance.now() < end, `${series} is on the page: ${[...seen.keys()].join("\n")}`);
      seen = await page();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return seen;
  }
  return { component, info, ready, page, untilOn };
}

const portOf = (address: string) => Number(address.slice(address.lastIndexOf(":") + 1));

function sendTcp(address: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(portOf(address), "127.0.0.1", () => socket.end(text));
    socket
      .on("error", reject)
      .on("close", () => resolve())
      .resume();
  });
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "invar-statsd-"));
  cleanUp(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("counters, gauges and timers of lines over TCP are on the page", async (t) => {
  const { component, ready, info, untilOn } = await start(t, TCP);
  await ready();
  component.flow.judge();
  assert.deepEqual([component.flow.status.state, component.flow.status.rule], ["idle", "no_packets"]);
  await sendTcp(
    info().listen_addresses[0]!,
    "hits.total:2|c|#path:a\nhits.total:3|c|#path:a\r\nhits.total:1|c\nlevel:5|g\nlevel:+2|g\ntook:100|ms\ntook:300|ms\nbad\nlevel:1|c\nlast:1|c",
  );
  const page = await untilOn("last");
  for (const [series, value] of [
    ['hits_total{path="a"}', 5],
    ["hits_total", 1],
    ["level", 7],
    ['took{quantile="0.5"}', 0.1],
    ['took{quantile="0.99"}', 0.3],
    ["took_sum", 0.4],
    ["took_count", 2],
    ["statsd_exporter_lines_total", 10],
    ["statsd_exporter_samples_total", 9],
    ["statsd_exporter_tcp_connections_total", 1],
    ["statsd_exporter_tags_total", 2],
    ['statsd_exporter_events_total{type="counter"}', 4],
    ['statsd_exporter_events_total{type="observer"}', 2],
    ['statsd_exporter_sample_errors_total{reason="malformed_line"}', 1],
    ['statsd_exporter_events_conflict_total{type="counter"}', 1],
    ['statsd_exporter_metrics_total{type="counter"}', 3],
    ["statsd_exporter_events_unmapped_total", 9],
    ["statsd_metric_mapper_cache_length", 5],
  ] as const) {
    assert.equal(page.get(series), value, series);
  }
  component.flow.judge();
  assert.ok((component.flow.dropped.get("metrics")?.get("parse_error") ?? 0) > 0);
  assert.match(
    component.flow.findings.find(({ rule }) => rule === "samples_dropped")!.cause,
    /dropped .*malformed_line/,
  );
});

test("packets over UDP, and each line is relayed", async (t) => {
  const sink = createSocket("udp4");
  const packets: string[] = [];
  sink.on("message", (bytes) => void packets.push(bytes.toString()));
  await new Promise<void>((resolve) => sink.bind(0, "127.0.0.1", resolve));
  cleanUp(t, () => void sink.close());
  const relay = `relay_addr = "127.0.0.1:${sink.address().port}"\nrelay_packet_length = 20`;
  const { ready, info, untilOn } = await start(
    t,
    `listen_tcp = ""\nlisten_udp = "127.0.0.1:0"\nevent_flush_interval = "5ms"\n${relay}`,
  );
  await ready();
  const client = createSocket("udp4");
  cleanUp(t, () => void client.close());
  client.send(
    "one:1|c\ntwo:2|c\nthree:3|c\nmuch.too.long.for.it:1|c",
    portOf(info().listen_addresses[0]!),
    "127.0.0.1",
  );
  const page = await untilOn("three", 3);
  assert.equal(page.get("statsd_exporter_udp_packets_total"), 1);
  await until(() => packets.length === 2, "both packets are relayed");
  assert.deepEqual(packets, ["one:1|c\ntwo:2|c\n", "three:3|c\n"]);
  const target = `{target="127.0.0.1:${sink.address().port}"}`;
  const later = await untilOn(`statsd_exporter_relay_packets_total${target}`, 2);
  assert.equal(later.get(`statsd_exporter_relay_long_lines_total${target}`), 1);
  assert.equal(later.get(`statsd_exporter_relay_lines_relayed_total${target}`), 3);
});

test("a socket within the machine, with its permissions, is gone afterwards", async (t) => {
  const path = join(folderOf(t), "statsd.sock");
  const { component, ready, untilOn } = await start(
    t,
    `listen_udp = ""\nlisten_tcp = ""\nlisten_unixgram = "${path}"\nunix_socket_mode = "620"\nevent_flush_interval = "5ms"\nread_buffer = 65536`,
  );
  await ready();
  assert.deepEqual(component.failures, []);
  assert.equal(statSync(path).mode & 0o777, 0o620);
  sendUnixgram(path, "local:4|c\nother:1|c");
  sendUnixgram(path, "local:1|c");
  const page = await untilOn("local", 5);
  assert.equal(page.get("statsd_exporter_unixgram_packets_total"), 2);
  const second = await start(t, `listen_udp = ""\nlisten_tcp = ""\nlisten_unixgram = "${path}"`);
  await until(() => second.component.failures.length > 0, "it fails");
  assert.match(String(second.component.failures[0]), /exists already: remove it if no other program listens there/);
  await component.stop();
  assert.equal(existsSync(path), false);
});

/** Node has no such client, but the C library that it runs on has. */
function sendUnixgram(path: string, text: string): void {
  const ffi = process.getBuiltinModule("node:ffi");
  const { functions } = ffi.dlopen("libc.so.6", {
    socket: { arguments: ["int32", "int32", "int32"], return: "int32" },
    sendto: { arguments: ["int32", "buffer", "uint64", "int32", "buffer", "uint32"], return: "int64" },
    close: { arguments: ["int32"], return: "int32" },
  });
  const calls = functions as unknown as Record<string, (...values: unknown[]) => number | bigint>;
  const socket = calls.socket!(1, 2, 0);
  const address = Buffer.alloc(110);
  address.writeUInt16LE(1);
  const end = 2 + address.write(path, 2);
  const bytes = Buffer.from(text);
  assert.equal(Number(calls.sendto!(socket, bytes, BigInt(bytes.length), 0, address, end + 1)), bytes.length);
  calls.close!(socket);
}

test("mappings from a file: names, labels, histograms, drops, time to live", async (t) => {
  const path = join(folderOf(t), "mapping.yaml");
  writeFileSync(
    path,
    `mappings:
- { match: "web.*.time", name: web_time_seconds, labels: { host: "$1" }, observer_type: histogram, histogram_options: { buckets: [0.1, 1] }, help: How long. }
- { match: "noise.*", name: noise, action: drop }
- { match: "short.*", name: short_lived, ttl: 2s }
- { match: "double", name: doubled, scale: 2, typo: 1 }
- { match: "kept.*", name: kept, honor_labels: true, labels: { tag: mapped, host: "$1" } }
`,
  );
  const clock = new ManualClock();
  const { component, ready, info, page } = await start(t, `${TCP}mapping_config_path = "${path}"`, { clock });
  await ready();
  await sendTcp(
    info().listen_addresses[0]!,
    "web.a.time:50|ms\nweb.a.time:200|ms|@0.5\nnoise.x:1|c\nshort.x:1|c\ndouble:4|g\nkept.h:1|c|#tag:sent\nend:1|c\nend:-1|c\n",
  );
  await until(() => info().series === 0, "lines wait");
  await clock.advance(10);
  const seen = await page();
  for (const [series, value] of [
    ['web_time_seconds_bucket{host="a",le="0.1"}', 1],
    ['web_time_seconds_bucket{host="a",le="1"}', 3],
    ['web_time_seconds_bucket{host="a",le="+Inf"}', 3],
    ['web_time_seconds_count{host="a"}', 3],
    ["short_lived", 1],
    ["doubled", 8],
    ['kept{host="h",tag="sent"}', 1],
    ["end", 1],
    ['statsd_exporter_events_actions_total{action="drop"}', 1],
    ['statsd_exporter_events_error_total{reason="illegal_negative_counter"}', 1],
    ["statsd_exporter_loaded_mappings", 5],
  ] as const) {
    assert.equal(seen.get(series), value, series);
  }
  assert.ok(
    component.logs.some(({ fields }) => fields.some(([, value]) => String(value).includes("`typo` is unknown"))),
  );
  await clock.advance(4_000);
  const later = await page();
  assert.deepEqual([later.has("short_lived"), later.has("end")], [false, true]);
});

test("a line that does not end is cut off, and so is its sender", async (t) => {
  const { ready, info, untilOn } = await start(t, TCP);
  await ready();
  await sendTcp(info().listen_addresses[0]!, `before:1|c\n${"x".repeat(5_000)}`).catch(() => {});
  const page = await untilOn("before", 1);
  assert.equal(page.get("statsd_exporter_tcp_too_long_lines_total"), 1);
});

test("packets that the system throws away are counted, and the status says so", async (t) => {
  const clock = new ManualClock();
  const config = 'listen_udp = "127.0.0.1:0"\nlisten_tcp = ""\nread_buffer = 4096\n';
  const { component, info, ready } = await start(t, config, { clock });
  await ready();
  const sender = createSocket("udp4");
  cleanUp(t, () => new Promise<void>((resolve) => sender.close(resolve)));
  const send = () =>
    new Promise((resolve) => sender.send("a:1|c", portOf(info().listen_addresses[0]!), "127.0.0.1", resolve));
  await Promise.all(Array.from({ length: 500 }, send));
  clock.advance(5_000);
  const lost = () => component.flow.dropped.get("metrics")?.get("receive_buffer_full") ?? 0;
  await until(() => lost() > 0, "packets are lost");
  component.flow.judge();
  const { state, rule, cause } = component.flow.status;
  assert.deepEqual([state, rule], ["degraded", "packets_lost"]);
  assert.match(cause, new RegExp(`threw away ${lost()} packets as receive_buffer_full .*: raise \`read_buffer\``));
});

test("what cannot work says why", async (t) => {
  for (const [config, message] of [
    ['listen_udp = ""\nlisten_tcp = ""', /nothing could be received/],
    ['listen_udp = "9125"', /`listen_udp` must be an address such as ":9125"/],
    ['listen_tcp = "a:99999"', /`listen_tcp` must be an address/],
    ['cache_type = "fifo"', /cache_type/],
  ] as const) {
    await assert.rejects(start(t, config), message);
  }
  const { ready, info } = await start(t, TCP);
  await ready();
  const taken = await start(t, `listen_udp = ""\nlisten_tcp = "${info().listen_addresses[0]}"`);
  await taken.ready();
  assert.match(String(taken.component.failures[0]), /cannot listen on TCP .*another program listens there/);
  const missing = start(t, `${TCP}mapping_config_path = "/nonexistent/map.yaml"`);
  await assert.rejects(missing, /cannot read the mapping file \/nonexistent\/map\.yaml: ENOENT/);
});
