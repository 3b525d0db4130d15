import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { cleanUp } from "#base/clean-up.testing";
import { runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";
import { decodeWrite } from "../kit/remote-write.ts";
import { Sink } from "../kit/sink.ts";

/** A target that says how it was asked, and a list of targets. */
async function serve(t: TestContext) {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, "http://target");
    if (pathname === "/targets") {
      response.setHeader("content-type", "application/json");
      return void response.end(`[{"targets": ["${request.headers.host}"], "labels": {"found": "http"}}]`);
    }
    const authorization = Buffer.from(request.headers.authorization?.replace("Basic ", "") ?? "", "base64");
    response.setHeader("content-type", "text/plain; version=0.0.4");
    response.end(
      `asked{path="${pathname}",module="${searchParams.getAll("module").join("+")}",as="${authorization}"} 1\n` +
        'noise{a="b"} 2\nkept{job="own",pod_uid="u"} 3\n',
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUp(t, () => server.close().closeAllConnections());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The label sets of all series that come, as sorted text. */
async function seriesSink(t: TestContext) {
  const series = new Set<string>();
  const sink = await Sink.start((_path, body) => {
    for (const { labels } of decodeWrite(body)) {
      series.add(
        [...labels]
          .map(([name, value]) => `${name}=${value}`)
          .sort()
          .join(),
      );
    }
  });
  cleanUp(t, () => sink.stop());
  return { url: sink.url, series };
}

const configuration = (target: string, sink: string) => `global:
  scrape_interval: 1s
  external_labels: {cluster: eu, replica: a}
scrape_configs:
  - job_name: static one
    metrics_path: /probe
    params: {module: [a, b]}
    basic_auth: {username: me, password_file: password}
    honor_labels: true
    static_configs: [{targets: ['${target}'], labels: {env: prod}}]
    metric_relabel_configs:
      - {source_labels: [__name__], regex: noise, action: drop}
  - job_name: found
    file_sd_configs: [{files: [targets/*.yml]}]
    http_sd_configs: [{url: 'http://${target}/targets'}]
    relabel_configs:
      - {source_labels: [__meta_filepath], regex: '.*/([^/]+)', target_label: file}
      - {source_labels: [found], regex: skipped, action: drop}
      - {source_labels: [__address__], modulus: 1, target_label: shard, action: hashmod}
      - {regex: 'fou(nd)', replacement: 'was_\${1}', action: labelmap}
remote_write:
  - url: ${sink}/api/v1/push
    queue_config: {batch_send_deadline: 100ms}
    write_relabel_configs:
      - {regex: pod_uid, action: labeldrop}
      - {source_labels: [cluster], target_label: cluster, replacement: '$1-1'}
`;

test("a converted configuration gives the series that Prometheus itself gives", async (t) => {
  const folder = temporaryFolder(t);
  const target = await serve(t);
  mkdirSync(join(folder, "targets"));
  writeFileSync(join(folder, "password"), "s3cret");
  writeFileSync(
    join(folder, "targets", "a.yml"),
    `- {targets: ['${target}'], labels: {found: file}}\n- {targets: ['${target}'], labels: {found: skipped}}\n`,
  );

  const theirs = await seriesSink(t);
  writeFileSync(join(folder, "prometheus.yml"), configuration(target, theirs.url));
  const flags = ["--enable-feature=agent", `--storage.agent.path=${join(folder, "data")}`];
  const child = spawn(
    "/usr/bin/prometheus",
    [`--config.file=${join(folder, "prometheus.yml")}`, `--web.listen-address=127.0.0.1:${await freePort()}`, ...flags],
    { stdio: "ignore" },
  );
  cleanUp(t, async () => {
    if (child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });

  const ours = await seriesSink(t);
  const [input, output] = [join(folder, "ours.yml"), join(folder, "config.alloy")];
  // Paths in Prometheus's configuration are relative to it, in the agent's to where it runs.
  writeFileSync(input, configuration(target, ours.url).replace(/(password_file: |files: \[)/g, `$1${folder}/`));
  const { code, stderr } = await runInvar(["convert", "-f", "prometheus", "-o", output, input]);
  assert.deepEqual([code, stderr], [0, ""]);
  await startAgent(t, readFileSync(output, "utf8"));

  const sorted = ({ series }: typeof ours) => [...series].sort();
  // Three jobs' targets: two metrics and five of the scrape itself for the first, three and five for the others.
  const isSame = () => theirs.series.size >= 23 && isDeepStrictEqual(sorted(ours), sorted(theirs));
  await waitUntil(isSame, WAIT_MS, "both send the same").catch(() => {}); // shown below
  assert.ok(theirs.series.size >= 23, sorted(theirs).join("\n"));
  assert.deepEqual(sorted(ours), sorted(theirs));
  assert.ok(
    ours.series.has(
      `__name__=asked,as=me:s3cret,cluster=eu-1,env=prod,instance=${target},job=static one,module=a+b,path=/probe,replica=a`,
    ),
  );
});
