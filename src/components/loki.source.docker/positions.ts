import { join } from "node:path";
import { errorText, type Logger } from "#base/log";
import { readIfThere, StateFile } from "#kits/state-file";
import { parsePositionsYaml } from "#kits/tail/positions-yaml";

/** The time of the last line that was confirmed, and how many lines of this very time were. */
export interface StreamPosition {
  readonly seconds: number;
  readonly nanos: number;
  readonly lines: number;
}

/** How far a container's log was confirmed, for each of its streams. */
export interface ContainerPosition {
  readonly stdout?: StreamPosition;
  readonly stderr?: StreamPosition;
  /** Taken over from Alloy, which counts in seconds and not by stream. */
  readonly since?: number;
}

const VERSION = 1;
const MAX_CONTAINERS = 20_000;
/** Lines of the two streams are not written down in the order of their times; so much earlier Docker is asked for more. */
const OVERLAP_SECONDS = 2;

export class DockerPositions {
  readonly #directory: string;
  readonly #file: StateFile;
  readonly #log: Logger;
  /** By container id; the one that moved last is at the end. */
  readonly #containers = new Map<string, ContainerPosition>();
  #changed = false;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
    this.#file = new StateFile(join(directory, "positions.json"), log);
  }

  get problem(): string | undefined {
    return this.#file.problem;
  }

  /** Rejects if a file is there and cannot be understood, since without it everything would be sent again. */
  async load(): Promise<void> {
    const own = await this.#file.load();
    if (own !== undefined) {
      try {
        const content = JSON.parse(own.text) as { version?: unknown; containers?: Record<string, ContainerPosition> };
        if (content.version !== VERSION) throw new Error("unknown version");
        for (const [id, position] of Object.entries(content.containers ?? {})) this.#containers.set(id, position);
      } catch (error) {
        const why = errorText(error);
        throw new Error(`${this.#file.path} is damaged: ${why}. Remove it to read all logs from their beginning`);
      }
    }
    const path = join(this.#directory, "positions.yml");
    const alloy = await readIfThere(path);
    if (alloy === undefined || (own !== undefined && own.modified > alloy.modified)) return;
    for (const { path: key, position } of alloy.text.trim() === "" ? [] : parsePositionsYaml(alloy.text)) {
      if (key.startsWith("cursor-") && /^\d+$/.test(position)) {
        this.#containers.set(key.slice("cursor-".length), { since: Number(position) });
      }
    }
    this.#log.info("took over the positions file of Alloy", { path, containers: this.#containers.size });
  }

  get(id: string): ContainerPosition {
    return this.#containers.get(id) ?? {};
  }
  put(id: string, position: ContainerPosition): void {
    this.#containers.delete(id);
    this.#containers.set(id, position);
    if (this.#containers.size > MAX_CONTAINERS) this.#containers.delete(this.#containers.keys().next().value!);
    this.#changed = true;
  }
  remove(id: string): void {
    if (this.#containers.delete(id)) this.#changed = true;
  }

  async save(): Promise<void> {
    if (!this.#changed && this.problem === undefined) return;
    this.#changed = false;
    const containers = Object.fromEntries(this.#containers);
    await this.#file.save(`${JSON.stringify({ version: VERSION, containers })}\n`);
  }
}

/** From when on to ask Docker, as its `since`. */
export function sinceOf({ stdout, stderr, since = 0 }: ContainerPosition): string {
  const last = Math.max(stdout?.seconds ?? 0, stderr?.seconds ?? 0);
  if (last === 0) return String(since);
  const other = Math.max(0, last - OVERLAP_SECONDS);
  return `${other}.000000000`;
}

/** Passes over the lines of one stream that were sent before, and counts on from there. */
export class Resumed {
  #position: StreamPosition | undefined;
  #replaying: boolean;
  /** Lines of the position's time that came again. */
  #again = 0;

  constructor(position: StreamPosition | undefined) {
    this.#position = position;
    this.#replaying = position !== undefined;
  }

  get position(): StreamPosition | undefined {
    return this.#position;
  }

  /** Whether the line of this time is a new one. */
  take(seconds: number, nanos: number): boolean {
    const last = this.#position;
    const order = last === undefined ? 1 : seconds - last.seconds || nanos - last.nanos;
    if (this.#replaying) {
      if (order < 0) return false;
      if (order === 0 && this.#again < last!.lines) {
        this.#again += 1;
        return false;
      }
      this.#replaying = order === 0;
    }
    this.#position = { seconds, nanos, lines: order === 0 ? last!.lines + 1 : 1 };
    if (order === 0) this.#again += 1;
    return true;
  }
}
