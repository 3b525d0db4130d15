import type { Logger } from "#base/log";
import { errorText } from "#base/log";
import type { MetricFamily } from "#base/metrics";
import { addBuildInfo } from "#kits/exporter/build-info";
import { Page } from "#kits/exporter/page";
import type { Judgement } from "#pipeline/flow";
import { type Group, Groups } from "./groups.ts";
import { addErrors, addGroup, type ErrorCounts, type GroupsShown } from "./metrics.ts";
import type { RoundProblems, Tracker } from "./tracker.ts";

export interface ProcessMetricsOptions extends GroupsShown {
  readonly tracker: Tracker;
  readonly removeEmptyGroups: boolean;
  readonly procfsPath: string;
  readonly log: Logger;
  readonly version: string;
}

/** The page of one exporter. */
export class ProcessMetrics {
  readonly #options: ProcessMetricsOptions;
  readonly #groups: Groups;
  readonly #errors: ErrorCounts = { rounds: 0, processes: 0, partial: 0 };
  #shown: ReadonlyMap<string, Group> = new Map();
  #problems: RoundProblems | undefined;
  #failure: string | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ProcessMetricsOptions) {
    this.#options = options;
    this.#groups = new Groups(options.removeEmptyGroups);
  }

  /** Reads all processes; rounds follow one another, since each counts from the one before. */
  update(): Promise<void> {
    const round = this.#last.then(() => this.#update());
    this.#last = round;
    return round;
  }

  async #update(): Promise<void> {
    try {
      const { processes, problems } = await this.#options.tracker.update();
      this.#shown = this.#groups.update(processes);
      this.#problems = problems;
      this.#errors.partial += problems.partial;
      this.#failure = undefined;
    } catch (error) {
      this.#errors.rounds++;
      this.#shown = new Map();
      const failure = errorText(error);
      if (failure !== this.#failure) this.#options.log.error("could not read processes", { error });
      this.#failure = failure;
    }
  }

  async collect(): Promise<MetricFamily[]> {
    await this.update();
    const page = new Page();
    for (const [name, group] of this.#shown) addGroup(page, name, group, this.#options);
    addErrors(page, this.#errors);
    addBuildInfo(page, "process_exporter", this.#options.version);
    return page.families();
  }

  judgeReading(): Judgement {
    if (this.#failure === undefined) return undefined;
    const cause = `no process can be read from procfs_path ${this.#options.procfsPath}: ${this.#failure}; in a container, mount the host's there`;
    return { state: "failing", cause };
  }

  judgePermissions(): Judgement {
    const { denied, deniedProcesses } = this.#problems ?? {};
    if (denied === undefined || deniedProcesses === undefined) return undefined;
    const path = `${this.#options.procfsPath}/${denied}`;
    const { size } = deniedProcesses;
    const which = size === 1 ? "1 process is" : `${size} processes are`;
    const cause = `${which} read in part only, since the agent's user has no permission for files such as ${path}: memory, open files or input and output are missing in their groups; run the agent as root, or give it CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH`;
    return { state: "degraded", cause };
  }

  judgeGroups(): Judgement {
    for (const { processes } of this.#shown.values()) if (processes > 0) return undefined;
    if (this.#problems === undefined || this.#failure !== undefined) return undefined;
    return {
      state: "idle",
      cause:
        "no process matches any matcher block: compare `comm`, `exe` and `cmdline` with what `ps -eo comm,args` shows",
    };
  }

  judgeForgotten(): Judgement {
    const { forgotten } = this.#groups;
    if (forgotten === 0) return undefined;
    return {
      state: "degraded",
      cause: `${forgotten} groups without a process were forgotten in one scrape, with their counters, because there are too many: \`name\` holds something that differs from one process to the next, such as {{.PID}}; set remove_empty_groups = true or take it out`,
    };
  }
}
