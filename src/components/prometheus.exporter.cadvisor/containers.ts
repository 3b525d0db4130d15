import type { Cgroup } from "./cgroup-tree.ts";
import { ContainerUsage, type UsageQueue } from "./directory-usage.ts";
import { ContainerLabels, type LabelFilter } from "./labels.ts";
import { ScheduleCounts } from "./process-counts.ts";
import type { Runtime, RuntimeContainer } from "./runtime.ts";
import type { Spec } from "./stats.ts";

/** A control group whose figures are shown. */
export interface Container {
  readonly group: Cgroup;
  readonly isRoot: boolean;
  /** Undefined for a group that is nobody's container, or of which nobody knows yet. */
  runtime: Runtime | undefined;
  id: string;
  details: RuntimeContainer | undefined;
  labels: ContainerLabels;
  readonly schedule: ScheduleCounts;
  /** As last read, and when (monotonic milliseconds). */
  limits: Spec | undefined;
  limitsRead: number;
  usage: ContainerUsage | undefined;
  /** When to ask again whose container it is (monotonic milliseconds); never for what is no container. */
  nextLookUp: number;
  lookUps: number;
}

export interface ContainersOptions {
  readonly runtimes: readonly Runtime[];
  readonly dockerOnly: boolean;
  /** An empty one stands for all paths. */
  readonly rawPrefixes: readonly string[];
  readonly withoutRoot: boolean;
  readonly labelFilter: LabelFilter;
  readonly usages: UsageQueue;
}

/** The names that Docker, containerd and others give to the control groups of containers hold their id. */
const CONTAINER_ID = /[a-z0-9]{64}/;
/** Asked at once: a machine that starts with hundreds of containers must not be asked for all of them together. */
const LOOK_UPS = 8;
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 60_000;

/** Knows which control groups are shown and whose they are: the factories of cAdvisor's container/factory.go. */
export class Containers {
  readonly #options: ContainersOptions;
  #known = new Map<string, Container>();

  constructor(options: ContainersOptions) {
    this.#options = options;
  }

  /** All that is shown, by name of the group. */
  async update(groups: ReadonlyMap<string, Cgroup>, now: number, signal: AbortSignal): Promise<readonly Container[]> {
    const known = new Map<string, Container>();
    for (const group of groups.values()) {
      const before = this.#known.get(group.name);
      known.set(group.name, before?.group === group ? before : this.#make(group));
    }
    this.#known = known;
    await this.#lookUp(now, signal);
    return [...known.values()].filter((container) => this.#isShown(container));
  }

  #make(group: Cgroup): Container {
    const id = CONTAINER_ID.exec(group.name.slice(group.name.lastIndexOf("/") + 1))?.[0] ?? "";
    return {
      group,
      isRoot: group.name === "/",
      runtime: undefined,
      id,
      details: undefined,
      labels: new ContainerLabels(group.name, undefined, undefined),
      schedule: new ScheduleCounts(),
      limits: undefined,
      limitsRead: 0,
      usage: undefined,
      // systemd makes groups for mounts in containers; they have the id in their names as well.
      nextLookUp: id === "" || group.name.endsWith(".mount") ? Infinity : 0,
      lookUps: 0,
    };
  }

  async #lookUp(now: number, signal: AbortSignal): Promise<void> {
    const { runtimes } = this.#options;
    const waiting = [...this.#known.values()].filter(({ nextLookUp }) => nextLookUp <= now);
    await Promise.all(runtimes.map((runtime) => runtime.refresh(signal)));
    const work = async () => {
      for (let each = waiting.shift(); each !== undefined; each = waiting.shift()) {
        for (const runtime of runtimes) {
          const details = await runtime.lookUp(each.id, signal);
          if (details === undefined) continue;
          this.#adopt(each, runtime, details);
          break;
        }
        // A group may be there before its engine tells of it, and it may be nobody's.
        const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** each.lookUps++);
        each.nextLookUp = each.details === undefined ? now + pause : Infinity;
      }
    };
    await Promise.all(Array.from({ length: LOOK_UPS }, work));
  }

  #adopt(container: Container, runtime: Runtime, details: RuntimeContainer): void {
    container.runtime = runtime;
    container.details = details;
    container.labels = new ContainerLabels(container.group.name, details, this.#options.labelFilter);
    if (details.folders.length > 0) container.usage = new ContainerUsage(details.folders, this.#options.usages);
  }

  #isShown({ group, isRoot, runtime }: Container): boolean {
    const { dockerOnly, rawPrefixes, withoutRoot } = this.#options;
    if (isRoot) return !withoutRoot;
    if (group.name.endsWith(".mount")) return false;
    if (runtime !== undefined) return true;
    if (dockerOnly && rawPrefixes[0] === "") return false;
    return rawPrefixes.some((prefix) => group.name.startsWith(prefix));
  }
}
