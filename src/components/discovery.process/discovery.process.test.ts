import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { startComponent } from "#pipeline/testing";
import discoveryThisMachine, { discoveryProcess } from "./discovery.process.ts";
import { joinContainers } from "./join.ts";
import { containerIdOf } from "./processes.ts";

const ID = "ab".repeat(32);
const OTHER = "cd".repeat(32);

/** A folder like /proc: the real one has no containers, and none that may not be read. */
function fakeProc(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "discovery-process-"));
  cleanUp(t, () => rmSync(root, { recursive: true }));
  const proc = join(root, "proc");
  mkdirSync(join(proc, "self"), { recursive: true });
  writeFileSync(join(root, "passwd"), "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n");
  const add = (pid: number, cgroup = "0::/user.slice\n", uid = 33) => {
    const folder = join(proc, String(pid));
    mkdirSync(folder);
    symlinkSync("/usr/bin/server (deleted)", join(folder, "exe"));
    symlinkSync("/srv", join(folder, "cwd"));
    writeFileSync(join(folder, "cmdline"), "server\0--flag\0\0a b\0");
    writeFileSync(join(folder, "status"), `Name:\tserver\nUid:\t${uid}\t1\t2\t3\n`);
    writeFileSync(join(folder, "cgroup"), cgroup);
    return folder;
  };
  return { proc, add, definition: discoveryProcess(proc, join(root, "passwd")) };
}

async function start(
  t: TestContext,
  definition: typeof discoveryThisMachine,
  config = "",
  targets: readonly Labels[] = [],
) {
  const joined = targets.map((each) => new Map(each));
  const scope = { others: joined } as const;
  const component = await startComponent(definition, config, { scope: scope as never });
  cleanUp(t, () => component.stop());
  await until(
    () => component.metric("prometheus_sd_refresh_duration_seconds_count")! > 0,
    () => component.flow.status.cause,
  );
  return component;
}

test("processes of this machine", async (t) => {
  const child = spawn("/bin/sleep", ["1000"], { cwd: "/usr", stdio: "ignore" });
  cleanUp(t, async () => {
    child.kill();
    await once(child, "exit");
  });
  const all = "discover_config {\n username = true\n uid = true\n cgroup_path = true\n}";
  const component = await start(t, discoveryThisMachine, all);
  const found = component.exports.targets.find((each) => each.get("__process_pid__") === String(child.pid))!;
  assert.equal(found.get("__meta_process_exe"), readlinkSync(`/proc/${child.pid}/exe`));
  assert.equal(found.get("__meta_process_cwd"), "/usr");
  assert.equal(found.get("__meta_process_commandline"), "/bin/sleep 1000");
  assert.equal(found.get("__meta_process_uid"), String(userInfo().uid));
  assert.equal(found.get("__meta_process_username"), userInfo().username);
  assert.match(found.get("__meta_process_cgroup_path")!, /^\d+:.*:\//);
  assert.ok(component.exports.targets.some((each) => each.get("__process_pid__") === String(process.pid)));
});

test("what is read is what is asked for; threads of the kernel are left out with their programs", async (t) => {
  const { add, definition } = fakeProc(t);
  add(7, `0::/system.slice/docker-${ID}.scope\n`);
  const kernel = add(8, "0::/\n", 77);
  rmSync(join(kernel, "exe"));
  writeFileSync(join(kernel, "cmdline"), "");
  const usual = await start(t, definition);
  assert.deepEqual(usual.exports.targets.map(String), [
    `{__container_id__="${ID}", __meta_process_commandline="server --flag a b", __meta_process_cwd="/srv", __meta_process_exe="/usr/bin/server (deleted)", __process_pid__="7"}`,
  ]);
  const none = ["exe", "cwd", "commandline", "container_id"].map((name) => `${name} = false`).join("\n");
  const other = await start(
    t,
    definition,
    `discover_config {\n${none}\nusername = true\nuid = true\ncgroup_path = true\n}`,
  );
  assert.deepEqual(other.exports.targets.map(String), [
    `{__meta_process_cgroup_path="0::/", __meta_process_uid="77", __process_pid__="8"}`,
    `{__meta_process_cgroup_path="0::/system.slice/docker-${ID}.scope", __meta_process_uid="33", __meta_process_username="web", __process_pid__="7"}`,
  ]);
});

test("processes get the labels of their containers; targets that come later are joined at once", async (t) => {
  const { add, definition } = fakeProc(t);
  add(7, `0::/system.slice/docker-${ID}.scope\n`);
  const only = "discover_config {\n exe = false\n cwd = false\n commandline = false\n}\n";
  const pod = Labels.from([
    ["__meta_kubernetes_pod_container_id", `containerd://${ID}`],
    ["app", "web"],
    ["none", ""],
  ]);
  const component = await start(t, definition, `${only}join = others`, [pod]);
  const asked = component.metric("prometheus_sd_refresh_duration_seconds_count");
  assert.equal(asked, 1);
  assert.deepEqual(
    component.exports.targets.map(String),
    [
      `{__container_id__="${ID}", __meta_kubernetes_pod_container_id="containerd://${ID}", __process_pid__="7", app="web"}`,
      String(pod),
    ].sort(),
  );
  add(9);
  await component.update(`${only}join = [{ __meta_docker_container_id = "${ID}", app = "shop" }, { a = "b" }]`);
  await until(() => component.exports.targets.length === 3, "the other targets");
  assert.deepEqual(
    component.exports.targets.map((each) => [each.get("__process_pid__"), each.get("app")]),
    [
      ["7", "shop"],
      [undefined, "shop"],
      [undefined, undefined],
    ],
  );
});

test("processes that come and go; an outage keeps the last", async (t) => {
  const { proc, add, definition } = fakeProc(t);
  add(7);
  add(8);
  const component = await start(t, definition, 'refresh_interval = "30ms"');
  const pids = () => component.exports.targets.map((each) => each.get("__process_pid__")).join();
  assert.equal(pids(), "7,8");
  rmSync(join(proc, "7"), { recursive: true });
  await until(() => pids() === "8", "one less");
  renameSync(proc, `${proc}-gone`); // at once: a folder that is emptied first would be one without processes
  await until(() => component.flow.status.state === "degraded", "the outage");
  assert.match(
    component.flow.status.cause,
    /^the 1 targets are as of .* ago: cannot list processes: .*\/proc mounted$/,
  );
  assert.equal(pids(), "8");
});

/** Prints the status once this machine's processes were looked for. */
const STATUS_OF_OTHERS = `
import definition from "${import.meta.dirname}/discovery.process.ts";
import { startComponent } from "${import.meta.dirname}/../../pipeline/testing.ts";
const component = await startComponent(definition, "");
while (!(component.metric("prometheus_sd_refresh_duration_seconds_count") > 0)) await new Promise(setImmediate);
console.log(component.flow.status.rule, component.flow.status.cause);
await component.stop();
`;

test("processes that may not be read are told of, for a user who is not root", () => {
  const nobody = 65_534;
  const user = process.getuid!() === 0 ? { uid: nobody, gid: nobody } : {};
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", STATUS_OF_OTHERS], {
    ...user,
    encoding: "utf8",
    cwd: "/",
  });
  assert.match(
    said,
    /^processes_unreadable \d+ of \d+ processes are left out.*\(such as \/proc\/\d+\/\w+\): run the agent as root/,
  );
});

test("ids of containers in control groups of all kinds", () => {
  for (const line of [
    `0::/system.slice/docker-${ID}.scope`,
    `12:cpu:/docker/${ID}`,
    `0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-${ID}.scope`,
    `1:name=systemd:/kubepods/besteffort/pod1/${ID}`,
    `0::/../${ID} `,
  ]) {
    assert.equal(containerIdOf(["0::/init.scope", line]), ID, line);
  }
  for (const line of ["0::/", `0::/x/${ID.slice(1)}`, `0::/x/${ID}f`, `0::/x/${ID.toUpperCase()}`]) {
    assert.equal(containerIdOf([line]), "", line);
  }
});

test("joining loses no process and no target without a container", () => {
  const target = fc.record({ id: fc.constantFrom("", ID, OTHER), label: fc.constantFrom("", "x", "y") });
  fc.assert(
    fc.property(fc.array(target), fc.array(target), (processes, others) => {
      const of = (name: string, each: { id: string; label: string }, i: number) =>
        Labels.from([
          ["n", `${name}${i}`],
          [name === "p" ? "__container_id__" : "__meta_docker_container_id", each.id],
          ["l", each.label],
        ]);
      const joined = joinContainers(
        processes.map((each, i) => of("p", each, i)),
        others.map((each, i) => of("o", each, i)),
      );
      const containers = new Set(others.map(({ id }) => id).filter(Boolean));
      const without = others.filter(({ id }) => id === "").length;
      assert.equal(joined.length, processes.length + without + containers.size);
    }),
  );
});
