/** Receiver → batch processor → exporter → receiver, over real sockets: every item arrives as it was sent. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { request } from "undici";
import grpcExporter from "#components/otelcol.exporter.otlp/otelcol.exporter.otlp";
import httpExporter from "#components/otelcol.exporter.otlphttp/otelcol.exporter.otlphttp";
import batchProcessor from "#components/otelcol.processor.batch/otelcol.processor.batch";
import receiver from "#components/otelcol.receiver.otlp/otelcol.receiver.otlp";
import { itemsOf, kinds, requests } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import type { Value } from "#lang/value";
import { consumerValue, recordOtlp, startComponent } from "#pipeline/testing";

const clean: (() => unknown)[] = [];
after(async () => {
  for (const each of clean.reverse()) await each();
});

type Protocol = "grpc" | "http";

async function startReceiver(protocol: Protocol, out: Value, block = "", port = "0") {
  const text = `${protocol} {\nendpoint = "127.0.0.1:${port}"\n${block}\n}\noutput {\ntraces = [out]\nmetrics = [out]\nlogs = [out]\n}`;
  const component = await startComponent(receiver, text, { scope: { out } });
  clean.push(() => component.stop());
  for (;;) {
    const { listeners } = component.instance.debugInfo!() as { listeners: Record<string, string | null> };
    if (typeof listeners[protocol] === "string") return { component, address: listeners[protocol] };
    assert.equal(component.problem, undefined);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** HTTP receiver → batches of at most 7 items → exporter to `address`. */
async function startAgent(protocol: Protocol, address: string, client: string, rest = "") {
  const exporter =
    protocol === "grpc"
      ? await startComponent(grpcExporter, `client {\nendpoint = "${address}"\n${client}\n}\n${rest}`)
      : await startComponent(httpExporter, `client {\nendpoint = "${address}"\n${client}\n}\n${rest}`);
  const sizes = 'send_batch_size = 5\nsend_batch_max_size = 7\ntimeout = "20ms"';
  const out = consumerValue(exporter.exports.input);
  const batches = await startComponent(
    batchProcessor,
    `${sizes}\noutput {\ntraces = [out]\nmetrics = [out]\nlogs = [out]\n}`,
    {
      scope: { out },
    },
  );
  const front = await startReceiver("http", consumerValue(batches.exports.input));
  const stop = async () => {
    for (const each of [front.component, batches, exporter]) await each.stop();
  };
  clean.push(stop);
  return { address: front.address, exporter, stop };
}

async function send(address: string, kind: OtlpKind, body: Buffer): Promise<void> {
  const headers = { "content-type": "application/x-protobuf" };
  const answer = await request(`http://${address}/v1/${kind}`, { method: "POST", body, headers });
  assert.equal(answer.statusCode, 200);
  await answer.body.dump();
}

function samples(): [OtlpKind, Buffer][] {
  return kinds.flatMap((kind) => fc.sample(requests(kind), 15).map((bytes): [OtlpKind, Buffer] => [kind, bytes]));
}

function expected(sent: readonly [OtlpKind, Buffer][]): string[] {
  return sent.flatMap(([kind, bytes]) => itemsOf(kind, bytes)).sort();
}

for (const protocol of ["grpc", "http"] as const) {
  for (const compression of ["none", "gzip", "zstd", "snappy"]) {
    test(`over ${protocol} with ${compression}`, async () => {
      const sink = recordOtlp();
      const back = await startReceiver(protocol, sink.value);
      const url = protocol === "http" ? `http://${back.address}` : back.address;
      const agent = await startAgent(protocol, url, `compression = "${compression}"\ntls {\ninsecure = true\n}`);
      const sent = samples();
      await Promise.all(sent.map(([kind, bytes]) => send(agent.address, kind, bytes)));
      await agent.stop();
      const received = sink.items.flatMap((batch) => batch.parts.flatMap((part) => itemsOf(batch.kind, part)));
      assert.deepEqual(received.sort(), expected(sent));
      assert.equal(agent.exporter.flow.dropped.size, 0);
      for (const batch of sink.items) assert.ok(batch.items <= 7);
    });
  }
}

test("with certificates on both sides", async () => {
  const dir = mkdtempSync(join(tmpdir(), "otlp-e2e-"));
  clean.push(() => rmSync(dir, { recursive: true }));
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"];
  const made = spawnSync("openssl", ["req", "-x509", ...key, "-out", "cert.pem", "-days", "2", ...names], { cwd: dir });
  assert.equal(made.status, 0, String(made.stderr));
  const own = `cert_file = "${dir}/cert.pem"\nkey_file = "${dir}/key.pem"`;
  for (const protocol of ["grpc", "http"] as const) {
    const sink = recordOtlp();
    const back = await startReceiver(protocol, sink.value, `tls {\n${own}\nclient_ca_file = "${dir}/cert.pem"\n}`);
    const url = protocol === "http" ? `https://${back.address}` : back.address;
    const agent = await startAgent(protocol, url, `tls {\n${own}\nca_file = "${dir}/cert.pem"\n}`);
    const sent = samples();
    for (const [kind, bytes] of sent) await send(agent.address, kind, bytes);
    await agent.stop();
    const received = sink.items.flatMap((batch) => batch.parts.flatMap((part) => itemsOf(batch.kind, part)));
    assert.deepEqual(received.sort(), expected(sent), protocol);
  }
});

test("a backend that is away for a while costs nothing", async () => {
  for (const protocol of ["grpc", "http"] as const) {
    const sink = recordOtlp();
    const first = await startReceiver(protocol, sink.value);
    const url = protocol === "http" ? `http://${first.address}` : first.address;
    const retry = 'retry_on_failure {\ninitial_interval = "50ms"\nmax_interval = "200ms"\n}';
    const agent = await startAgent(protocol, url, "tls {\ninsecure = true\n}", retry);
    const sent = samples();
    for (const [kind, bytes] of sent.slice(0, 20)) await send(agent.address, kind, bytes);
    await first.component.stop();
    for (const [kind, bytes] of sent.slice(20)) await send(agent.address, kind, bytes);
    await startReceiver(protocol, sink.value, "", first.address.split(":")[1]);
    await agent.stop();
    const received = sink.items.flatMap((batch) => batch.parts.flatMap((part) => itemsOf(batch.kind, part)));
    // At least once: what was under way when the backend went may have come twice.
    assert.deepEqual([...new Set(received)].sort(), [...new Set(expected(sent))], protocol);
    assert.equal(agent.exporter.flow.dropped.size, 0);
  }
});
