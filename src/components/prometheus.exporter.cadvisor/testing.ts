import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { systemClock } from "#base/clock";
import { createLogger, type LogRecord } from "#base/log";
import { writeExposition } from "#formats/exposition/writer";
import { MountUsages } from "#kits/mounts";
import { Cadvisor } from "./cadvisor.ts";
import { CgroupTree } from "./cgroup-tree.ts";
import { Containers, type ContainersOptions } from "./containers.ts";
import { UsageQueue } from "./directory-usage.ts";
import { FileSystems } from "./file-systems.ts";
import type { Kinds } from "./kinds.ts";
import type { Runtime, RuntimeContainer } from "./runtime.ts";
import type { CgroupReader } from "./stats.ts";

/** Files by path; written as the kernel's documentation describes them. */
export type Tree = Readonly<Record<string, string>>;

export function writeTree(t: TestContext, tree: Tree): string {
  const root = mkdtempSync(join(tmpdir(), "invar-cadvisor-"));
  cleanUp(t, () => rmSync(root, { recursive: true }));
  addFiles(root, tree);
  return root;
}

export function addFiles(root: string, tree: Tree): void {
  for (const [path, text] of Object.entries(tree)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** An engine that knows what a test says. */
export class KnownRuntime implements Runtime {
  readonly name = "known";
  readonly containers = new Map<string, RuntimeContainer>();
  problem: string | undefined;
  lookUps = 0;
  async refresh(): Promise<void> {}
  async lookUp(id: string): Promise<RuntimeContainer | undefined> {
    this.lookUps++;
    return this.containers.get(id);
  }
  isHealthy(): boolean {
    return false;
  }
  close(): void {}
}

export const CONTAINER: RuntimeContainer = {
  name: "web",
  image: "app:1",
  labels: new Map([["com.example/tier", "front"]]),
  environment: new Map(),
  pid: 0,
  ownsNetwork: true,
  created: undefined,
  folders: [],
};

export interface FixtureOptions extends Partial<Omit<ContainersOptions, "usages">> {
  readonly folders: ReadonlyMap<string, string>;
  readonly kinds: Kinds;
  readonly reader: CgroupReader;
}

/** An exporter over a tree of files. */
export class FixtureExporter {
  readonly logs: LogRecord[] = [];
  readonly cadvisor: Cadvisor;

  constructor({ folders, kinds, reader, ...containers }: FixtureOptions) {
    const log = createLogger({ enabled: () => true, write: (record) => void this.logs.push(record) });
    const usages = new MountUsages({ clock: systemClock, log, timeoutMs: 1_000, path: (mountPoint) => mountPoint });
    this.cadvisor = new Cadvisor({
      kinds,
      paths: { root: "", sysfs: "/sys" },
      tree: new CgroupTree({ folders, ageFile: "cgroup.events", bootTime: 0 }),
      reader,
      containers: new Containers({
        runtimes: [],
        dockerOnly: false,
        rawPrefixes: [""],
        withoutRoot: false,
        labelFilter: undefined,
        ...containers,
        usages: new UsageQueue(new AbortController().signal, (error) => {
          throw error;
        }),
      }),
      fileSystems: new FileSystems("/proc", "/sys", usages),
      clock: systemClock,
      log,
      version: "1.2.3",
    });
  }

  /** Values by name and labels, for the control groups whose names hold `group`. */
  async scrape(group = 'id="'): Promise<Map<string, number>> {
    return samplesOf(writeExposition(await this.cadvisor.collect(new AbortController().signal)).toString(), group);
  }
}

export function samplesOf(page: string, part = ""): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of page.split("\n")) {
    if (line.startsWith("#") || !line.includes(part)) continue;
    const space = line.lastIndexOf(" ");
    if (space > 0) samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}
