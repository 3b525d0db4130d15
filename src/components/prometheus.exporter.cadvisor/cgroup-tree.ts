import { type Stats as FileStats, readdirSync, statSync } from "node:fs";
import { ifThere } from "#kits/proc-files";

/** A control group: what has the same path under all controllers. */
export interface Cgroup {
  /** Starts with a slash; that of the root is "/". */
  readonly name: string;
  /** Its folders by controller. */
  paths: Map<string, string>;
  /** Of the first of its folders: another one means that the group was made anew. */
  inode: number;
  /** Epoch milliseconds. */
  created: number;
  /** The scans in which it was first and last seen. */
  since: number;
  round: number;
}

export interface TreeOptions {
  /** Folders by controller. */
  readonly folders: ReadonlyMap<string, string>;
  /** A file of each group that hardly ever changes, for its age. */
  readonly ageFile: string;
  /** Epoch milliseconds before which nothing was made. */
  readonly bootTime: number;
}

/** All control groups of the machine. Knows them from one scan to the next. */
export class CgroupTree {
  readonly #options: TreeOptions;
  readonly #groups = new Map<string, Cgroup>();
  #round = 0;

  constructor(options: TreeOptions) {
    this.#options = options;
  }

  /** As of the last scan. */
  get groups(): ReadonlyMap<string, Cgroup> {
    return this.#groups;
  }

  /** By name. A folder that cannot be read is left out with what is below it. */
  scan(): ReadonlyMap<string, Cgroup> {
    this.#round++;
    for (const [controller, folder] of this.#options.folders) this.#visit(controller, folder, "/");
    for (const [name, { round }] of this.#groups) if (round !== this.#round) this.#groups.delete(name);
    return this.#groups;
  }

  #visit(controller: string, folder: string, name: string): void {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat === undefined) return;
    this.#see(controller, folder, name, stat);
    // The number of links is that of the folders below and 2: most groups have none, and need not be listed.
    if (stat.nlink === 2) return;
    for (const entry of ifThere(() => readdirSync(folder, { withFileTypes: true })) ?? []) {
      if (entry.isDirectory()) {
        this.#visit(controller, `${folder}/${entry.name}`, name === "/" ? `/${entry.name}` : `${name}/${entry.name}`);
      }
    }
  }

  #see(controller: string, folder: string, name: string, { ino, mtimeMs }: FileStats): void {
    let group = this.#groups.get(name);
    if (group === undefined || (group.round !== this.#round && group.inode !== ino)) {
      group = { name, paths: new Map(), inode: ino, created: Infinity, since: this.#round, round: this.#round };
      this.#groups.set(name, group);
    } else if (group.round !== this.#round) {
      group.round = this.#round;
      group.paths = new Map();
    }
    if (group.since === this.#round) this.#age(group, folder, mtimeMs);
    group.paths.set(controller, folder);
  }

  /**
   * The folder's own time changes when a group is made below it, the file's hardly ever: the earlier one counts, as in
   * cAdvisor's container/common/helpers.go.
   */
  #age(group: Cgroup, folder: string, mtimeMs: number): void {
    const file = statSync(`${folder}/${this.#options.ageFile}`, { throwIfNoEntry: false });
    const earliest = Math.min(mtimeMs, file?.mtimeMs ?? Infinity, group.created);
    group.created = Math.max(earliest, this.#options.bootTime);
  }
}
