import assert from "node:assert/strict";
import { Labels } from "#base/labels";
import type { LogBatch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import { logBatch } from "#pipeline/log-batch";
import { consumerValue, startComponent } from "#pipeline/testing";
import secretfilter from "./loki.secretfilter.ts";
import { madeUpSecrets } from "./secrets.testing.ts";

/**
 * MB per CPU-second through loki.secretfilter: `node loki.secretfilter.bench.ts [seconds]`. Checks first that as many secrets
 * are found as there are.
 */

const SECONDS = Number(process.argv[2] ?? 1);
const BATCH = 1_024;
const LEVELS = ["debug", "info", "warn", "error"];

function jsonLine(i: number): string {
  return `{"ts":"2026-11-20T00:00:00.${String(i % 1000).padStart(3, "0")}Z","level":"${LEVELS[i % 4]}","service":"svc-${i % 23}","msg":"handled request path=/api/v1/users/${i} status=${200 + (i % 5) * 75}","dur_ms":${(i % 997) / 10},"trace_id":"${(i * 7919).toString(16).padStart(32, "0")}","ip":"10.0.${i % 250}.1"}`;
}
function nginxLine(i: number): string {
  return `10.0.${i % 250}.${i % 199} - - [20/Nov/2026:00:00:${String(i % 60).padStart(2, "0")} +0000] "GET /shop/products/${i}?page=${i % 9}&sort=price HTTP/1.1" ${200 + (i % 5) * 75} ${i % 50_000} "https://www.example.com/shop/" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36" rt=0.0${i % 90}`;
}
function kubernetesLine(i: number): string {
  return `I1120 00:00:00.${String(i % 1_000_000).padStart(6, "0")}       1 reconciler.go:${i % 900}] "Starting operationExecutor.MountVolume" volume="kube-api-access-${i % 97}" pod="default/web-${i % 50}" node="node-${i % 7}" key="default/web-${i % 50}" elapsed="${i % 300}ms"`;
}

const secrets = madeUpSecrets(1).map(({ line }) => line);
const CASES = [
  { name: "JSON of applications", line: jsonLine, secrets: 0 },
  { name: "nginx access log", line: nginxLine, secrets: 0 },
  { name: "Kubernetes", line: kubernetesLine, secrets: 0 },
  {
    name: "JSON, one line of a hundred with a secret",
    line: (i: number) => (i % 100 === 99 ? secrets[Math.floor(i / 100) % secrets.length]! : jsonLine(i)),
    secrets: 16 * (BATCH / 100) * 0.95,
  },
];
const source = Labels.from([["job", "bench"]]);
const { signal } = new AbortController();

for (const { name, line, secrets: expected } of CASES) {
  let same = 0;
  let handedOn = 0;
  let given: LogBatch | undefined;
  const sink: Consumer<"logs"> = {
    signal: "logs",
    componentId: "bench",
    mutates: false,
    consume(batch) {
      handedOn += 1;
      if (batch.data === given?.data) same += 1;
    },
  };
  await using component = await startComponent(secretfilter, "forward_to = [sink]", {
    scope: { sink: consumerValue(sink) },
  });
  const batches = Array.from({ length: 16 }, (_, k) =>
    logBatch(Array.from({ length: BATCH }, (_, i) => ({ labels: source, line: line(k * BATCH + i) }))),
  );
  const bytes = batches.map((batch) => batch.data.length);
  const fresh = (batch: LogBatch): LogBatch => ({ ...batch, start: batch.start.slice(), end: batch.end.slice() });
  for (const batch of batches) await component.exports.receiver.consume((given = fresh(batch)), signal);
  const found = component.metric("loki_secretfilter_secrets_redacted_total")!;
  assert.ok(expected === 0 ? found === 0 : found >= expected, `${name}: ${found} secrets`);
  if (expected === 0) assert.equal(same, handedOn);

  let passed = 0;
  const from = process.cpuUsage();
  const until = performance.now() + SECONDS * 1000;
  for (let k = 0; performance.now() < until; k++) {
    await component.exports.receiver.consume((given = fresh(batches[k % 16]!)), signal);
    passed += bytes[k % 16]!;
    if (k % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const { user, system } = process.cpuUsage(from);
  console.log(`${name}: ${(passed / (user + system)).toFixed(0)} MB/CPU-s, RSS ${process.memoryUsage.rss() >> 20} MiB`);
}
