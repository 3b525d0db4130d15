import assert from "node:assert/strict";
import { appendFileSync, chmodSync, chownSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { Sink } from "../kit/sink.ts";

/** A pipeline that runs is broken where logs come from; what then shows in the status, the log and the metrics. */

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65_534;
const ADM = 4;
const SOURCE = "loki.source.file.a";
const META =
  '__meta_kubernetes_namespace = "shop", __meta_kubernetes_pod_name = "web-1", __meta_kubernetes_pod_uid = "u1"';

interface Bench {
  readonly folder: string;
  readonly logs: string;
  /** Text of all requests so far. */
  readonly received: () => string;
  /** The configuration that reads what `source` says. */
  readonly config: (source: string) => string;
}

async function prepare(t: TestContext): Promise<Bench> {
  const folder = temporaryFolder(t);
  const logs = join(folder, "logs");
  mkdirSync(logs);
  for (const each of [folder, logs]) chmodSync(each, 0o755);
  let received = "";
  const sink = await Sink.start((_path, body) => void (received += Buffer.from(body).toString("latin1")));
  cleanUp(t, () => sink.stop());
  return {
    folder,
    logs,
    received: () => received,
    config: (source) => `${source}
loki.write "out" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}
`,
  };
}

function fileSource(targets: string, more = ""): string {
  return `loki.source.file "a" {
  targets    = ${targets}
  forward_to = [loki.write.out.receiver]
  ${more}
}
`;
}

suite("failures where logs come from", { concurrency: true }, () => {
  test("a wrong path: the deepest folder there is, what became of what matches, and what to do", async (t) => {
    const { folder, logs, received, config } = await prepare(t);
    writeFileSync(join(logs, "a.log"), "first\n");
    const matched = (path: string, more = "") =>
      config(`local.file_match "m" {
  path_targets = [{ __path__ = "${path}", job = "x"${more} }]
  sync_period  = "500ms"
}
${fileSource("local.file_match.m.targets")}`);
    const agent = await startAgent(t, matched(`${logs}/*.log`));
    await agent.until(() => received().includes("first"), "the pipeline works");

    assert.equal((await agent.reload(matched(`${folder}/mnt/app/*.log`))).status, 200);
    const missing = await agent.untilRule("local.file_match.m", "no_files", "idle");
    assert.equal(
      missing.cause,
      `0 files for "${folder}/mnt/app/*.log": directory ${folder}/mnt/app does not exist (deepest existing: ${folder}). In a container? Mount it`,
    );
    await agent.untilRule(SOURCE, "no_targets", "idle");
    await agent.untilLogged(/level=warn msg="a pattern matches no file" .*Mount it/);
    assert.equal(agent.logged("local.file_match.m", "a pattern matches no file").length, 1);
    assert.equal(await agent.ruleMetric("local.file_match.m", "no_files"), 1);
    assert.equal(await agent.metric("local_file_match_patterns_without_files"), 1);

    mkdirSync(join(logs, "old.log"));
    await agent.reload(matched(`${logs}/*`, `, __path_exclude__ = "${logs}/a.*"`));
    await agent.until(
      async () =>
        /1 excluded by __path_exclude__, 1 directory$/.test((await agent.component("local.file_match.m")).flow.cause),
      "counts of what matches and is left out",
    );

    const own = `file_match {\n enabled = true\n sync_period = "500ms"\n}`;
    await agent.reload(config(fileSource(`[{ __path__ = "${folder}/mnt/*.log" }]`, own)));
    const { cause } = await agent.untilRule(SOURCE, "no_files", "idle");
    assert.match(
      cause,
      /^0 files for ".*\/mnt\/\*\.log": directory .*\/mnt does not exist \(deepest existing: .*Mount it$/,
    );

    await agent.reload(matched(`${logs}/*.log`));
    appendFileSync(join(logs, "a.log"), "second\n");
    await agent.until(() => received().includes("second"), "it works again");
    await agent.untilRule("local.file_match.m", "", "ok");
    assert.equal(await agent.stop(), 0);
  });

  test("targets without __path__: which one, that discovery gives none, and the rule that makes it", async (t) => {
    const { logs, received, config } = await prepare(t);
    writeFileSync(join(logs, "a.log"), "first\n");
    const relabelled = (rules: string) =>
      config(`discovery.relabel "r" {
  targets = [{ ${META}, __meta_kubernetes_pod_container_name = "web" }]
  ${rules}
  rule {
    source_labels = ["__meta_kubernetes_namespace"]
    target_label  = "namespace"
  }
}
${fileSource("discovery.relabel.r.output")}`);
    const path = `rule {\n target_label = "__path__"\n replacement = "${logs}/a.log"\n }`;
    const agent = await startAgent(t, relabelled(path));
    await agent.until(() => received().includes("first"), "the pipeline works");
    assert.equal((await agent.reload(relabelled(""))).status, 200);
    const { cause } = await agent.untilRule(SOURCE, "missing_path", "failing");
    assert.match(
      cause,
      /^the target \{__meta_kubernetes_namespace="shop", __meta_kubernetes_pod_container_name="web", __meta_kubernetes_pod_name="web-1", namespace="shop", … 1 more label\} has no __path__/,
    );
    assert.match(
      cause,
      /discovery components give none, so make it with a rule of discovery\.relabel: rule \{.*target_label = "__path__", replacement = "\/var\/log\/pods\/\*\$1\/\*\.log" \}/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=loki\.source\.file\.a .*has no __path__/,
    );
    agent.assertSaidSparingly(SOURCE, "data flow failing");
    assert.equal(await agent.ruleMetric(SOURCE, "missing_path"), 1);
    await agent.reload(relabelled(path));
    await agent.untilRule(SOURCE, "", "ok");
    assert.equal(await agent.ruleMetric(SOURCE, "missing_path"), 0);
    assert.equal(await agent.stop(), 0);
  });

  test("no rule keeps any meta label: says so, with those that there are", async (t) => {
    const { logs, received, config } = await prepare(t);
    writeFileSync(join(logs, "a.log"), "first\n");
    const relabelled = (rule: string) =>
      config(`discovery.relabel "r" {
  targets = [{ ${META}, __path__ = "${logs}/a.log" }]
  ${rule}
}
${fileSource("discovery.relabel.r.output")}`);
    const keep = 'rule {\n source_labels = ["__meta_kubernetes_namespace"]\n target_label = "namespace"\n }';
    const agent = await startAgent(t, relabelled(keep));
    await agent.until(() => received().includes('namespace="shop"'), "the label comes through");
    await agent.untilRule(SOURCE, "", "ok");
    assert.equal((await agent.reload(relabelled(""))).status, 200);
    const { cause } = await agent.untilRule(SOURCE, "labels_not_kept", "degraded");
    assert.match(
      cause,
      /^lines get no label but filename: no rule keeps any __meta_ label of the targets \(__meta_kubernetes_namespace, __meta_kubernetes_pod_name, __meta_kubernetes_pod_uid\)/,
    );
    assert.match(cause, /rule \{ source_labels = \["__meta_kubernetes_namespace"\], target_label = "namespace" \}$/);
    await agent.untilLogged(/level=warn msg="data flow degraded" .*no rule keeps any __meta_ label/);
    agent.assertSaidSparingly(SOURCE, "data flow degraded");
    assert.equal(await agent.ruleMetric(SOURCE, "labels_not_kept"), 1);
    appendFileSync(join(logs, "a.log"), "second\n");
    await agent.until(() => received().includes("second"), "lines go on");
    await agent.reload(relabelled(keep));
    await agent.untilRule(SOURCE, "", "ok");
    assert.equal(await agent.stop(), 0);
  });

  test("a file and a folder that may not be read: whose they are, who we are, which group would help", {
    skip: !isRoot,
  }, async (t) => {
    const { folder, logs, received, config } = await prepare(t);
    const storage = join(folder, "storage");
    mkdirSync(storage);
    chmodSync(storage, 0o777);
    const path = join(logs, "a.log");
    writeFileSync(path, "first\n");
    writeFileSync(join(logs, "b.log"), "other\n");
    const matched = config(`local.file_match "m" {
  path_targets = [{ __path__ = "${logs}/*.log", job = "x" }]
  sync_period  = "500ms"
}
${fileSource("local.file_match.m.targets")}`);
    const agent = await startAgent(t, matched, { user: NOBODY, storage });
    await agent.until(() => received().includes("first") && received().includes("other"), "the pipeline works");

    // As logrotate with `create 0640 root adm` does it.
    renameSync(path, `${path}.1`);
    writeFileSync(path, "second\n", { mode: 0o640 });
    chownSync(path, 0, ADM);
    chmodSync(path, 0o640);
    const { cause } = await agent.untilRule(SOURCE, "unreadable_files", "degraded");
    assert.match(
      cause,
      /^\S+a\.log: permission denied: the file \S+a\.log \(mode 0640, owner root:adm\) lacks read \(r\) permission for the agent, which runs as user nobody in group nogroup: members of group adm may, so run usermod -aG adm nobody and restart the agent/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=loki\.source\.file\.a .*usermod -aG adm nobody/,
    );
    agent.assertSaidSparingly(SOURCE, "data flow degraded");
    assert.equal(await agent.ruleMetric(SOURCE, "unreadable_files"), 1);
    await agent.untilRule("local.file_match.m", "unreadable_files", "degraded");
    assert.equal(await agent.metric("local_file_match_paths", { outcome: "unreadable" }), 1);

    chmodSync(logs, 0o700);
    const all = await agent.untilRule("local.file_match.m", "unreadable_files", "failing");
    assert.match(
      all.cause,
      /the directory \S+logs \(mode 0700, owner root:root\) lacks list \(r and x\) permission .*setfacl -m u:nobody:rx/,
    );
    chmodSync(logs, 0o755);
    chmodSync(path, 0o644);
    await agent.until(() => received().includes("second"), "the file comes once it may be read");
    await agent.untilRule(SOURCE, "", "ok");
    await agent.untilRule("local.file_match.m", "", "ok");
    assert.equal(await agent.stop(), 0);
  });
});
