import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { type CgroupMounts, findCgroupMounts } from "#kits/cgroup-mounts";

const mounts: CgroupMounts | undefined = findCgroupMounts(readFileSync("/proc/self/mountinfo", "utf8"));
const CONTROLLERS = ["cpu", "cpuacct", "memory", "pids", "blkio"];

/** Why tests cannot make control groups here; false if they can. */
export const noControlGroups: string | false = reason();

function reason(): string | false {
  if (process.getuid?.() !== 0) return "only root may make control groups";
  if (mounts === undefined) return "no control groups are mounted here";
  const folder = `${mounts.folders.get("memory") ?? mounts.folders.get("")}/invar-try-${process.pid}`;
  try {
    mkdirSync(folder);
    rmdirSync(folder);
    return false;
  } catch (error) {
    return `the kernel forbids control groups here: ${(error as Error).message}`;
  }
}

/** A control group of the kernel's, made for a test, with the programs that it starts in it. */
export class ControlGroup {
  /** Starts with a slash. */
  readonly name: string;
  readonly version: 1 | 2;
  /** By controller. */
  readonly paths: ReadonlyMap<string, string>;
  readonly #folders: readonly string[];
  readonly #memory: string;
  readonly #cpu: string;

  /** Somewhere else than where the exporter looks, with `where`. */
  constructor(t: TestContext, name: string, where: CgroupMounts = mounts!) {
    const { version, folders } = where;
    this.name = name;
    this.version = version;
    const roots = version === 2 ? [folders.get("")!] : CONTROLLERS.flatMap((each) => folders.get(each) ?? []);
    this.#folders = roots.map((root) => root + name);
    this.paths = new Map([...folders].map(([controller, folder]) => [controller, folder + name]));
    this.#memory = (folders.get("memory") ?? folders.get("")!) + name;
    this.#cpu = (folders.get("cpu") ?? folders.get("")!) + name;
    if (version === 2) for (const each of ["cpu", "memory", "pids", "io"]) delegate(roots[0]!, dirname(name), each);
    for (const folder of this.#folders) mkdirSync(folder, { recursive: true });
    cleanUp(t, () => {
      for (const [i, folder] of this.#folders.entries()) {
        for (let at = folder; at !== roots[i] && existsSync(at); at = dirname(at)) rmdirSync(at);
      }
    });
  }

  limitMemory(bytes: number): void {
    const v2 = this.version === 2;
    writeFileSync(`${this.#memory}/${v2 ? "memory.max" : "memory.limit_in_bytes"}`, String(bytes));
    const swap = `${this.#memory}/${v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes"}`;
    if (existsSync(swap)) writeFileSync(swap, v2 ? "0" : String(bytes));
  }

  /** Microseconds of CPU time in each tenth of a second. */
  limitCpu(quota: number): void {
    const file = this.version === 2 ? "cpu.max" : "cpu.cfs_quota_us";
    writeFileSync(`${this.#cpu}/${file}`, this.version === 2 ? `${quota} 100000` : String(quota));
  }

  /** Runs a script of Node's in the group, and waits until it has written something or ended. */
  async run(t: TestContext, script: string): Promise<ChildProcess> {
    const enter = this.#folders.map((folder) => `echo $$ > '${folder}/cgroup.procs'`).join(" && ");
    const child = spawn("sh", ["-c", `${enter} && exec "$0" -e "$1"`, process.execPath, script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    cleanUp(t, async () => {
      child.kill("SIGKILL");
      await exited;
    });
    await Promise.race([once(child.stdout!, "data"), exited]);
    return child;
  }
}

/** Has a controller of version 2 count in the groups on the way; does nothing where it is another hierarchy's. */
function delegate(root: string, parent: string, controller: string): void {
  let at = root;
  for (const part of parent.split("/")) {
    if (part !== "") at += `/${part}`;
    try {
      mkdirSync(at, { recursive: true });
      writeFileSync(`${at}/cgroup.subtree_control`, `+${controller}`);
    } catch {
      return; // tests of what it would count then fail, and say so
    }
  }
}
