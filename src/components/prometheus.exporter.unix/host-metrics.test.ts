import assert from "node:assert/strict";
import { test } from "node:test";
import { startComponent } from "#pipeline/testing";
import { type Collector, type CollectorDefinition, NoDataError } from "./collector.ts";
import { HostFiles, readText } from "./files.ts";
import { HostMetrics } from "./host-metrics.ts";
import unix from "./prometheus.exporter.unix.ts";
import { FixtureHost } from "./testing.ts";

function metrics(host: FixtureHost, collectors: Readonly<Record<string, Collector>>): HostMetrics {
  const definitions = Object.entries(collectors).map(
    ([name, collector]): CollectorDefinition => ({ name, enabledByDefault: true, create: () => collector }),
  );
  return new HostMetrics({ ...host.options(), collectors: definitions, version: "1" });
}

test("collectors that fail are named with the file and what to do, and logged once", async () => {
  using host = new FixtureHost({ "proc/secret": "x" });
  const denied = Object.assign(new Error("EACCES: permission denied"), { code: "EACCES", path: "/proc/secret" });
  let broken = true;
  const all = metrics(host, {
    denied: {
      collect: () => {
        if (broken) throw denied;
      },
    },
    missing: { collect: async () => void readText(host.options().files.proc("nowhere")) },
    absent: {
      collect: () => {
        throw new NoDataError("no such hardware");
      },
    },
    partly: { collect: () => {}, problem: "cannot read the directory of text files /text" },
    fine: { collect: () => {} },
  });
  for (let i = 0; i < 3; i++) await all.collect();
  const { state, cause } = all.judge()!;
  assert.equal(state, "degraded");
  assert.match(cause, /denied: the agent's user has no permission to read \/proc\/secret; grant it, or/);
  assert.match(cause.replace(host.root, ""), /missing: \/proc\/nowhere does not exist/);
  assert.match(cause, /partly: cannot read the directory of text files \/text/);
  assert.doesNotMatch(cause, /absent|fine/);
  const errors = () => host.logs.filter(({ level }) => level === "error").length;
  assert.equal(errors(), 3);
  broken = false;
  await all.collect();
  assert.doesNotMatch(all.judge()!.cause, /denied/);
  assert.equal(errors(), 3);
});

test("more than a few that fail are counted; when all do, the exporter fails", async () => {
  using host = new FixtureHost({});
  const fails: Collector = {
    collect: () => {
      throw new Error("no");
    },
  };
  const all = metrics(host, { a: fails, b: fails, c: fails, d: fails, e: fails });
  assert.equal(all.judge(), undefined);
  await all.collect();
  assert.equal(all.judge()!.state, "failing");
  assert.match(all.judge()!.cause, /c: no; and 2 more$/);
});

test("file systems of the host that are not there are named", () => {
  using host = new FixtureHost({ "proc/a": "", "sys/a": "" });
  const files = (paths: object) =>
    new HostFiles({ ...host.options().args, ...paths }).problem?.replaceAll(host.root, "");
  assert.equal(files({ rootfs_path: "/" }), undefined);
  assert.equal(files({}), "rootfs_path: /root does not exist; in a container, mount the host's there");
  host.write("root/a", "");
  assert.equal(files({}), undefined);
  assert.equal(
    files({ procfs_path: `${host.root}/none` }),
    "procfs_path: /none does not exist; in a container, mount the host's there",
  );
});

test("the component's status says so", async () => {
  using host = new FixtureHost({ "proc/a": "", "sys/a": "", "root/a": "" });
  const paths = `procfs_path = "${host.root}/proc"\nsysfs_path = "${host.root}/sys"\nrootfs_path = "${host.root}/root"`;
  await using component = await startComponent(
    unix,
    `${paths}\nset_collectors = ["textfile"]\ntextfile { directory = "${host.root}/text" }`,
  );
  const request = { method: "GET", path: "/metrics", query: new URLSearchParams(), headers: new Map() };
  await component.instance.http!({ ...request, body: async () => new Uint8Array() }, new AbortController().signal);
  component.flow.judge();
  const { rule, cause } = component.flow.status;
  assert.equal(rule, "collectors");
  assert.equal(
    cause.replaceAll(host.root, ""),
    "textfile: cannot read the directory of text files: /text does not exist",
  );
  await component.stop();
});
