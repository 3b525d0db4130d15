import { join } from "node:path";
import { errorText, type Logger } from "#base/log";
import { readIfThere, StateFile } from "#kits/state-file";
import { type ImportedPosition, parsePositionsYaml } from "#kits/tail/positions-yaml";

const VERSION = 1;

export interface PositionOptions {
  /** The component's folder. Alloy's `positions.yml` in it is taken over when it is newer than our own file. */
  readonly directory: string;
  readonly componentId: string;
  /** Where Promtail or Grafana Agent kept the cursor of a job, taken over when there is no file of ours or Alloy's. */
  readonly legacy: { readonly file: string; readonly name: string } | undefined;
  readonly log: Logger;
}

/** The cursor of the last entry that was confirmed, kept over restarts. */
export class JournalPosition {
  readonly #options: PositionOptions;
  readonly #file: StateFile;
  cursor = "";

  constructor(options: PositionOptions) {
    this.#options = options;
    this.#file = new StateFile(join(options.directory, "cursor.json"), options.log);
  }

  /** Why the cursor cannot be saved. */
  get problem(): string | undefined {
    return this.#file.problem;
  }

  /** Rejects if a file is there and cannot be read, since without it everything would be sent again. */
  async load(): Promise<void> {
    const { directory, componentId, legacy, log } = this.#options;
    const own = await this.#file.load();
    const alloyPath = join(directory, "positions.yml");
    const alloy = await readIfThere(alloyPath);
    if (alloy !== undefined && (own === undefined || alloy.modified > own.modified)) {
      let positions: ImportedPosition[];
      try {
        positions = alloy.text.trim() === "" ? [] : parsePositionsYaml(alloy.text);
      } catch (error) {
        throw new Error(`invalid yaml positions file [${alloyPath}]: ${errorText(error)}. Mend or remove it`);
      }
      this.cursor = positions.find((each) => each.path === `cursor-${componentId}`)?.position ?? "";
      log.info("took over the cursor of Alloy", { path: alloyPath, found: this.cursor !== "" });
      return;
    }
    if (own !== undefined) {
      this.cursor = this.#parse(own.text);
      return;
    }
    if (legacy === undefined) return;
    const file = await readIfThere(legacy.file);
    try {
      const positions = file === undefined || file.text.trim() === "" ? undefined : parsePositionsYaml(file.text);
      if (positions === undefined) {
        log.info("will not convert the legacy positions file as it does not exist or is empty", { path: legacy.file });
        return;
      }
      this.cursor = positions.find((each) => each.path === `cursor-${legacy.name}`)?.position ?? "";
      log.info("converted the legacy positions file", { path: legacy.file, found: this.cursor !== "" });
    } catch (error) {
      log.error("error parsing legacy positions file", { path: legacy.file, error });
    }
  }

  /** Writes the cursor if it moved. Never rejects. */
  async save(): Promise<void> {
    const { cursor } = this;
    if (cursor !== "") await this.#file.save(`${JSON.stringify({ version: VERSION, cursor })}\n`);
  }

  #parse(text: string): string {
    let content: { version?: unknown; cursor?: unknown } = {};
    try {
      content = JSON.parse(text);
    } catch {
      // explained below
    }
    if (content.version === VERSION && typeof content.cursor === "string") return content.cursor;
    throw new Error(`${this.#file.path} is damaged. Remove it to read the journal from \`max_age\` on`);
  }
}

/** When the entry of a cursor was written, in microseconds since 1970; undefined if the cursor is not a journal's. */
export function cursorTime(cursor: string): number | undefined {
  const match = /(?:^|;)t=([0-9a-f]{1,13})(?:;|$)/.exec(cursor);
  return match === null ? undefined : Number.parseInt(match[1]!, 16);
}

/** Whether two cursors are of the same entry, which may be in two files. */
export function sameEntry(a: string, b: string): boolean {
  return a === b || entryOf(a) === entryOf(b);
}
function entryOf(cursor: string): string {
  return cursor
    .split(";")
    .filter((part) => /^[bmtx]=/.test(part))
    .join(";");
}
