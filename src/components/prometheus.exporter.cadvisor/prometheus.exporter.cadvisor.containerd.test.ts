import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { cleanUp } from "#base/clean-up.testing";
import { findCgroupMounts } from "#kits/cgroup-mounts";
import { readIfThere } from "#kits/proc-files";
import { startComponent } from "#pipeline/testing";
import { noControlGroups } from "./control-group.testing.ts";
import exporter from "./prometheus.exporter.cadvisor.ts";
import { samplesOf } from "./testing.ts";

const run = promisify(execFile);

/** containerd itself, on folders of its own. */
class Containerd {
  readonly socket: string;
  readonly #namespace: string;

  private constructor(folder: string, namespace: string) {
    this.socket = join(folder, "containerd.sock");
    this.#namespace = namespace;
  }

  static async start(t: TestContext, namespace: string): Promise<Containerd> {
    const folder = mkdtempSync(join(tmpdir(), "invar-containerd-"));
    cleanUp(t, () => rmSync(folder, { recursive: true, force: true }));
    const containerd = new Containerd(folder, namespace);
    writeFileSync(
      join(folder, "config.toml"),
      `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${containerd.socket}"
`,
    );
    const child = spawn("/usr/bin/containerd", ["--config", join(folder, "config.toml")], { stdio: "ignore" });
    const exited = once(child, "exit");
    cleanUp(t, async () => {
      child.kill();
      await exited;
    });
    const deadline = Date.now() + 20_000;
    while (!existsSync(containerd.socket)) {
      assert.ok(Date.now() < deadline && child.exitCode === null, "containerd did not start");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return containerd;
  }

  ctr(...words: string[]): Promise<{ stdout: string }> {
    return run("/usr/bin/ctr", ["--address", this.socket, "--namespace", this.#namespace, ...words], {
      timeout: 30_000,
    });
  }

  /** Runs a program of this machine in a container: no image is to be had without a registry. */
  async runContainer(t: TestContext, id: string, ...options: string[]): Promise<void> {
    const root = mkdtempSync(join(tmpdir(), "invar-rootfs-"));
    cleanUp(t, () => rmSync(root, { recursive: true }));
    for (const folder of ["usr", "bin", "lib", "lib64", "proc", "sys", "dev"]) mkdirSync(join(root, folder));
    const mounts = ["usr", "bin", "lib", "lib64"].flatMap((folder) => {
      return existsSync(`/${folder}`) ? ["--mount", `type=bind,src=/${folder},dst=/${folder},options=rbind:ro`] : [];
    });
    await this.ctr("run", "--detach", "--rootfs", ...mounts, ...options, root, id, "/bin/sleep", "60");
    cleanUp(t, async () => {
      await this.ctr("tasks", "delete", "--force", id);
      await this.ctr("containers", "delete", id);
    });
  }
}

test("containers of containerd have their name and labels, and sandboxes their network", {
  skip: noControlGroups || (!existsSync("/usr/bin/containerd") && "containerd is not installed"),
}, async (t) => {
  const namespace = `invar-${process.pid}`;
  // The folders of the namespace stay when its last container is gone.
  cleanUp(t, () => {
    const mounts = findCgroupMounts(readIfThere("/proc/self/mountinfo") ?? "")!;
    const all = (readIfThere("/proc/self/mountinfo") ?? "").split("\n").filter((line) => line.includes(" - cgroup"));
    const folders = new Set([...mounts.folders.values(), ...all.map((line) => line.split(" ")[4]!)]);
    for (const folder of folders) if (existsSync(`${folder}/${namespace}`)) rmdirSync(`${folder}/${namespace}`);
  });
  const containerd = await Containerd.start(t, namespace);
  const [sandbox, app] = ["a", "b"].map((letter) => process.pid.toString(16).padEnd(64, letter)) as [string, string];
  const sandboxLabels = ["--label", "io.cri-containerd.kind=sandbox", "--label", "io.kubernetes.pod.name=web-1"];
  await containerd.runContainer(t, sandbox, ...sandboxLabels, "--env", "APP_ZONE=eu", "--env", "OTHER=x");
  await containerd.runContainer(t, app, "--memory-limit", String(64 * 2 ** 20));

  await using component = await startComponent(
    exporter,
    `containerd_host        = "${containerd.socket}"
    containerd_namespace   = "${namespace}"
    env_metadata_allowlist = ["APP_"]`,
  );
  const request = { method: "GET", path: "/metrics", query: new URLSearchParams(), headers: new Map() };
  const answer = await component.instance.http!(
    { ...request, body: async () => new Uint8Array() },
    new AbortController().signal,
  );
  const page = answer.body.toString();
  const labels = `id="/${namespace}/${sandbox}",name="${sandbox}",container_label_io_cri_containerd_kind="sandbox",container_label_io_kubernetes_pod_name="web-1",container_env_APP_ZONE="eu"`;
  const pod = samplesOf(page, `id="/${namespace}/${sandbox}"`);
  assert.ok(pod.has(`container_start_time_seconds{${labels}}`), [...pod.keys()].join("\n"));
  assert.ok(pod.get(`container_memory_usage_bytes{${labels}}`)! > 0);
  const inApp = `id="/${namespace}/${app}",name="${app}"`;
  const own = samplesOf(page, inApp);
  assert.equal(own.get(`container_spec_memory_limit_bytes{${inApp}}`), 64 * 2 ** 20);
  assert.equal(
    [...own.keys()].some((key) => key.includes("_network_")),
    false,
  );
  assert.equal(component.flow.status.state, "ok");
});
