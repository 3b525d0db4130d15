import assert from "node:assert/strict";
import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CgroupTree } from "./cgroup-tree.ts";
import { Containers, type ContainersOptions } from "./containers.ts";
import { ContainerUsage, measureDirectory, UsageQueue } from "./directory-usage.ts";
import { selectKinds } from "./kinds.ts";
import { ContainerLabels } from "./labels.ts";
import { allowedEnvironment } from "./runtime.ts";
import { addFiles, CONTAINER, KnownRuntime, writeTree } from "./testing.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];
const { signal } = new AbortController();
const usages = new UsageQueue(signal, assert.ifError);

function setUp(root: string, options: Partial<ContainersOptions> = {}) {
  const tree = new CgroupTree({ folders: new Map([["", root]]), ageFile: "cgroup.events", bootTime: 0 });
  const runtime = new KnownRuntime();
  const containers = new Containers({
    runtimes: [runtime],
    dockerOnly: false,
    rawPrefixes: [""],
    withoutRoot: false,
    labelFilter: undefined,
    usages,
    ...options,
  });
  const names = async (now = 0) => {
    const shown = await containers.update(tree.scan(), now, signal);
    return shown.map(({ group, details }) => group.name + (details === undefined ? "" : `=${details.name}`)).sort();
  };
  return { runtime, names, tree };
}

const GROUPS = {
  [`docker/${A}/x`]: "",
  [`system.slice/cri-containerd-${B}.scope/x`]: "",
  [`system.slice/run-docker-${A}-mounts-shm.mount/x`]: "",
  "system.slice/cron.service/x": "",
};

test("containers are named by their engine, and other groups are shown as they are", async (t) => {
  const { runtime, names } = setUp(writeTree(t, GROUPS));
  runtime.containers.set(A, CONTAINER);
  assert.deepEqual(await names(), [
    "/",
    "/docker",
    `/docker/${A}=web`,
    "/system.slice",
    `/system.slice/cri-containerd-${B}.scope`,
    "/system.slice/cron.service",
  ]);
});

test("only containers and what begins as told, with docker_only", async (t) => {
  const root = writeTree(t, GROUPS);
  const only = setUp(root, { dockerOnly: true });
  only.runtime.containers.set(A, CONTAINER);
  assert.deepEqual(await only.names(), ["/", `/docker/${A}=web`]);
  const more = setUp(root, { dockerOnly: true, rawPrefixes: ["/system.slice/cron"], withoutRoot: true });
  more.runtime.containers.set(A, CONTAINER);
  assert.deepEqual(await more.names(), [`/docker/${A}=web`, "/system.slice/cron.service"]);
});

test("a container that its engine does not know yet is asked for again, ever less often", async (t) => {
  const { runtime, names } = setUp(writeTree(t, { [`docker/${A}/x`]: "" }));
  assert.deepEqual(await names(0), ["/", "/docker", `/docker/${A}`]);
  await names(500);
  assert.equal(runtime.lookUps, 1);
  await names(1_000);
  assert.equal(runtime.lookUps, 2);
  runtime.containers.set(A, CONTAINER);
  assert.deepEqual(await names(3_000), ["/", "/docker", `/docker/${A}=web`]);
  await names(100_000);
  assert.equal(runtime.lookUps, 3);
});

test("a group that is made anew is another container", async (t) => {
  const root = writeTree(t, { [`docker/${A}/x`]: "", "spare/x": "" });
  const { runtime, names } = setUp(root);
  runtime.containers.set(A, CONTAINER);
  await names();
  rmSync(join(root, "docker", A), { recursive: true });
  renameSync(join(root, "spare"), join(root, "docker", A));
  runtime.containers.set(A, { ...CONTAINER, name: "next" });
  assert.deepEqual(await names(), ["/", "/docker", `/docker/${A}=next`]);
  rmSync(join(root, "docker", A), { recursive: true });
  assert.deepEqual(await names(), ["/", "/docker"]);
});

test("groups of several controllers are one group", (t) => {
  const root = writeTree(t, { "cpu/a/x": "", "memory/a/b/x": "" });
  const folders = new Map(["cpu", "memory"].map((controller) => [controller, join(root, controller)]));
  const tree = new CgroupTree({ folders, ageFile: "cgroup.clone_children", bootTime: 0 });
  const paths = () => [...tree.scan()].map(([name, group]) => `${name} ${[...group.paths.keys()]}`);
  assert.deepEqual(paths(), ["/ cpu,memory", "/a cpu,memory", "/a/b memory"]);
  rmSync(join(root, "cpu/a"), { recursive: true });
  addFiles(root, { "cpu/c/x": "" });
  assert.deepEqual(paths().sort(), ["/ cpu,memory", "/a memory", "/a/b memory", "/c cpu"]);
});

test("labels: names that Prometheus takes, all of them or those that are allowed", () => {
  const metadata = {
    ...CONTAINER,
    labels: new Map([
      ["a.b", "1"],
      ["a_b", "2"],
      ["empty", ""],
    ]),
    environment: new Map([["zone", "x"]]),
  };
  const base = ["id", "/x", "name", "web", "image", "app:1"];
  assert.deepEqual(new ContainerLabels("/x", metadata, undefined).base, [
    ...base,
    ...["container_label_a_b", "1", "container_env_zone", "x"],
  ]);
  assert.deepEqual(new ContainerLabels("/x", metadata, new Set(["none"])).base, [...base, "container_env_zone", "x"]);
  const labels = new ContainerLabels("/x", undefined, undefined);
  assert.deepEqual(labels.with(["cpu", "total"]), ["id", "/x", "cpu", "total"]);
  assert.equal(labels.with(["cpu", "total"]), labels.with(["cpu", "total"]));
});

test("environment variables by the beginnings of their names", () => {
  const environment = ["APP_NAME=web=1", "APP_EMPTY=", "PATH=/bin", "nothing"];
  assert.deepEqual(
    [...allowedEnvironment(environment, ["APP_"])],
    [
      ["APP_NAME", "web=1"],
      ["APP_EMPTY", ""],
    ],
  );
  assert.deepEqual([...allowedEnvironment(environment, ["PATH"], (name) => name.toLowerCase())], [["path", "/bin"]]);
  assert.deepEqual([...allowedEnvironment(environment, [""])], []);
});

test("kinds of metrics: the enabled ones, or all but the disabled ones", () => {
  assert.deepEqual([...selectKinds(["cpu", "tcp"], ["cpu"])], ["cpu", "tcp"]);
  const usual = selectKinds([], undefined);
  assert.equal(usual.has("memory"), true);
  assert.equal(usual.has("tcp"), false);
  // As in Alloy: what the user writes takes the place of what is off otherwise.
  const all = selectKinds([], []);
  assert.equal(all.has("tcp"), true);
  assert.equal(selectKinds([], ["memory"]).has("memory"), false);
});

test("what a folder holds, files with several names once", async (t) => {
  const root = writeTree(t, { "layer/a": "x".repeat(10_000), "layer/sub/b": "y", "logs/c": "z" });
  linkSync(join(root, "layer/a"), join(root, "layer/again"));
  symlinkSync("/", join(root, "layer/outside"));
  const usage = await measureDirectory(join(root, "layer"), signal);
  assert.equal(usage.inodes, 5);
  assert.ok(usage.bytes >= 10_000 && usage.bytes < 200_000);
  await assert.rejects(() => measureDirectory(join(root, "gone"), signal), /ENOENT/);

  const container = new ContainerUsage([join(root, "layer"), join(root, "logs")], usages);
  assert.equal(container.get(0), undefined);
  while (container.get(1) === undefined) await new Promise((resolve) => setImmediate(resolve));
  const before = container.get(2)!;
  assert.equal(before.inodes, 5);
  assert.ok(before.bytes > usage.bytes);
  mkdirSync(join(root, "layer/new"));
  writeFileSync(join(root, "layer/new/file"), "1");
  assert.equal(container.get(59_000), before);
  while (container.get(60_001) === before) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(container.get(60_002)?.inodes, 7);
});
