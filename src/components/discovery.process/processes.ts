import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Labels } from "#base/labels";
import { TargetLabels } from "#kits/discovery/labels";

/** What is read of each process. */
export interface ProcessOptions {
  readonly cwd: boolean;
  readonly exe: boolean;
  readonly commandline: boolean;
  readonly username: boolean;
  readonly uid: boolean;
  readonly container_id: boolean;
  readonly cgroup_path: boolean;
}

export interface ProcessList {
  readonly targets: readonly Labels[];
  /** Processes that were there, those left out among them. */
  readonly count: number;
  /** How many were left out for want of a permission, and a file of the first of them. */
  readonly denied: number;
  readonly deniedPath: string;
}

export const CONTAINER_ID = "__container_id__";
/** So many processes are read at a time. */
const AT_ONCE = 16;

/** Folders of processes in `proc`, and users in `passwd`. */
export class Processes {
  readonly #proc: string;
  readonly #users: Users;

  constructor(proc: string, passwd: string) {
    this.#proc = proc;
    this.#users = new Users(passwd);
  }

  /** Of processes that end meanwhile, and of the kernel's threads when their program is asked for, nothing is told. */
  async list(options: ProcessOptions, signal: AbortSignal): Promise<ProcessList> {
    let names: readonly string[];
    try {
      names = await readdir(this.#proc);
    } catch (error) {
      throw new Error(
        `cannot list processes: ${(error as Error).message}; this works on Linux, with ${this.#proc} mounted`,
      );
    }
    const pids = names.filter((name) => /^\d+$/.test(name));
    if (options.username) await this.#users.refresh();
    const targets: Labels[] = [];
    let denied = 0;
    let deniedPath = "";
    const read = async (pid: string) => {
      try {
        targets.push(await this.#target(pid, options));
      } catch (error) {
        const { code, path = "" } = error as NodeJS.ErrnoException;
        if (code === "ENOENT" || code === "ESRCH") return;
        if (code !== "EACCES" && code !== "EPERM") throw error;
        if (denied === 0) deniedPath = path;
        denied += 1;
      }
    };
    for (let i = 0; i < pids.length; i += AT_ONCE) {
      signal.throwIfAborted();
      await Promise.all(pids.slice(i, i + AT_ONCE).map(read));
    }
    return { targets, count: pids.length, denied, deniedPath };
  }

  /** internal/component/discovery/process/discover.go of Alloy. */
  async #target(pid: string, options: ProcessOptions): Promise<Labels> {
    const file = (name: string) => join(this.#proc, pid, name);
    const labels = new TargetLabels("__meta_process_").set("__process_pid__", pid);
    const meta = (name: string, value: string) => value !== "" && labels.meta(name, value);
    if (options.exe) meta("exe", await readlink(file("exe")));
    if (options.cwd) meta("cwd", await readlink(file("cwd")));
    if (options.commandline) {
      const text = await readFile(file("cmdline"), "utf8");
      meta("commandline", text.split("\0").filter(Boolean).join(" "));
    }
    if (options.username || options.uid) {
      const uid = /^Uid:\s*(\d+)/m.exec(await readFile(file("status"), "utf8"))?.[1] ?? "";
      if (options.uid) meta("uid", uid);
      if (options.username) meta("username", this.#users.nameOf(uid));
    }
    if (options.container_id || options.cgroup_path) {
      const lines = (await readFile(file("cgroup"), "utf8")).split("\n").filter(Boolean);
      const id = options.container_id ? containerIdOf(lines) : "";
      if (id !== "") labels.set(CONTAINER_ID, id);
      if (options.cgroup_path) meta("cgroup_path", lines.join("|"));
    }
    return labels.build();
  }
}

/** The id of the container that a process is in by the lines of its `cgroup` file; empty for none. */
export function containerIdOf(lines: readonly string[]): string {
  for (const line of lines) {
    const found = /^.*\/(?:.*-)?([0-9a-f]{64})(?:\.|\s*$)/.exec(line);
    if (found !== null) return found[1]!;
  }
  return "";
}

/** Names of users, read again when the file has changed. */
class Users {
  readonly #path: string;
  #changed = -1;
  #names = new Map<string, string>();

  constructor(path: string) {
    this.#path = path;
  }

  async refresh(): Promise<void> {
    try {
      const { mtimeMs } = await stat(this.#path);
      if (mtimeMs === this.#changed) return;
      const lines = (await readFile(this.#path, "utf8")).split("\n").map((line) => line.split(":"));
      this.#names = new Map(lines.reverse().map(([name = "", , uid = ""]) => [uid, name]));
      this.#changed = mtimeMs;
    } catch {
      // Containers without the file have users without names.
      this.#names.clear();
      this.#changed = -1;
    }
  }

  nameOf(uid: string): string {
    return this.#names.get(uid) ?? "";
  }
}
