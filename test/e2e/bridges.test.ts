import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { decodePush } from "#formats/loki-push/loki-push";
import { logEntries } from "#pipeline/log-batch";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { WAIT_MS, waitUntil } from "../kit/process.ts";
import { decodeWrite } from "../kit/remote-write.ts";
import { Sink } from "../kit/sink.ts";

/** There and back again: what goes over a bridge to OTLP and back is what a direct way brings. */

// Bounds of histograms are no whole numbers: a scrape writes `1.0` for one, and OTLP's bound 1 comes back as `1`, in Alloy too.
const PAGE = `# HELP requests_total Requests that were answered.
# TYPE requests_total counter
requests_total{code="200",path="/a b"} 1027
requests_total{code="500",path="/"} 3.5
# TYPE temperature_celsius gauge
temperature_celsius -12.25
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 2
latency_seconds_bucket{le="2.5"} 5
latency_seconds_bucket{le="+Inf"} 6
latency_seconds_sum 7.5
latency_seconds_count 6
# TYPE sizes summary
sizes{quantile="0.5"} 12
sizes{quantile="0.99"} 99.5
sizes_sum 1234
sizes_count 17
untyped_thing{a="b"} 42
`;

test("scraped samples are the same after a way over OTLP", async (t) => {
  const target = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
    response.end(PAGE);
  });
  await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    target.closeAllConnections();
    return new Promise((resolve) => target.close(resolve));
  });
  const ways = { direct: new Map<string, number>(), bridged: new Map<string, number>() };
  const sink = await Sink.start((path, body) => {
    const values = path === "/direct" ? ways.direct : ways.bridged;
    for (const { labels, samples } of decodeWrite(body)) {
      // What a scrape adds says how long it took, so only the page's own series are compared.
      if (/^(up|scrape_.*|target_info)$/.test(labels.get("__name__") ?? "")) continue;
      const name = JSON.stringify([...labels].sort());
      for (const { timestamp, value } of samples) values.set(`${name} ${timestamp}`, value);
    }
  });
  cleanUp(t, () => sink.stop());
  await startAgent(
    t,
    `prometheus.scrape "page" {
  targets         = [{ __address__ = "127.0.0.1:${(target.address() as AddressInfo).port}", job = "shop", instance = "web-1" }]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  forward_to      = [prometheus.remote_write.direct.receiver, otelcol.receiver.prometheus.there.receiver]
}
otelcol.receiver.prometheus "there" {
  output {
    metrics = [otelcol.processor.batch.way.input]
  }
}
otelcol.processor.batch "way" {
  output {
    metrics = [otelcol.exporter.prometheus.back.input]
  }
}
otelcol.exporter.prometheus "back" {
  add_metric_suffixes = false
  forward_to          = [prometheus.remote_write.bridged.receiver]
}
${["direct", "bridged"]
  .map((name) => `prometheus.remote_write "${name}" {\n  endpoint {\n    url = "${sink.url}/${name}"\n  }\n}`)
  .join("\n")}
`,
  );
  const series = PAGE.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length;
  const first = () => [...ways.bridged].slice(0, series * 2);
  const isThere = () => first().length === series * 2 && first().every(([sample]) => ways.direct.has(sample));
  await waitUntil(isThere, WAIT_MS, "two scrapes by both ways");
  for (const [sample, value] of first()) assert.equal(value, ways.direct.get(sample), sample);
});

test("log entries are the same after a way over OTLP", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "app.log");
  const lines = ["plain words", 'level=info msg="logfmt"', '{"json": [1, 2]}', "Grüße 🌍 <&>", 'tab\tand "quotes"'];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const entries: { labels: string; line: string }[] = [];
  const sink = await Sink.start((_path, body) => {
    const { batch } = decodePush(body);
    for (const { labels, line } of logEntries(batch)) entries.push({ labels: labels.toString(), line });
  });
  cleanUp(t, () => sink.stop());
  await startAgent(
    t,
    `loki.source.file "app" {
  targets    = [{ __path__ = "${file}", app = "shop" }]
  forward_to = [otelcol.receiver.loki.there.receiver]
}
otelcol.receiver.loki "there" {
  output {
    logs = [otelcol.processor.transform.raw.input]
  }
}
otelcol.processor.transform "raw" {
  log_statements {
    context    = "log"
    statements = ["set(attributes[\\"loki.format\\"], \\"raw\\")"]
  }
  output {
    logs = [otelcol.exporter.loki.back.input]
  }
}
otelcol.exporter.loki "back" {
  forward_to = [loki.write.out.receiver]
}
loki.write "out" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "100ms"
  }
}
`,
  );
  await waitUntil(() => entries.length >= lines.length, WAIT_MS, "all entries");
  assert.deepEqual(
    entries.map(({ line }) => line),
    lines,
  );
  assert.deepEqual(
    [...new Set(entries.map(({ labels }) => labels))],
    [`{app="shop", exporter="OTLP", filename="${file}"}`],
  );
});
