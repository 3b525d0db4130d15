import { chownSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorText } from "#base/log";
import { type ImportedPosition, parsePositionsYaml } from "#kits/tail/positions-yaml";
import { makeFolderSync } from "#pipeline/make-folder";
import type { Reader } from "./format.ts";
import type { Report } from "./report.ts";

const CURSOR = /^(?:cursor|journal)-/;

/** The time of a container's last line; Cloudflare's positions are nanoseconds. */
const SECONDS = /^[0-9]{1,11}$/;

/**
 * Puts the positions of Promtail where the components of the new configuration look for them: into each component's
 * folder a `positions.yml` in Alloy's form, which every source takes over, so that Alloy itself could go on, too. What
 * is in a folder already is not touched.
 */
export function convertPositions(path: string, storage: string, readers: readonly Reader[], report: Report): void {
  const positions = read(path, report);
  if (positions === undefined) return;
  const busy = readers
    .map(({ id }) => join(storage, id))
    .filter((folder) => STATE.some((name) => existsSync(join(folder, name))));
  for (const folder of busy) {
    report.add(
      "Error",
      "--convert-positions",
      `${folder} has positions already, so the agent has run with it; stop it and remove the folder, or convert without --convert-positions`,
    );
  }
  if (busy.length > 0) return;
  const used = new Set<string>();
  for (const reader of readers) {
    const entries = entriesOf(reader, positions);
    for (const { from } of entries) used.add(from);
    if (entries.length > 0) save(storage, reader, entries);
    report.add("Info", reader.id, `takes over ${entries.length} of the ${positions.length} positions of ${path}`);
  }
  const left = positions.filter((each) => !used.has(each.path));
  for (const { path: name } of left.slice(0, 20)) {
    report.add("Warning", "--convert-positions", `nothing in the configuration reads on from the position of ${name}`);
  }
  if (left.length > 20)
    report.add("Warning", "--convert-positions", `and ${left.length - 20} more positions like these`);
}

/** The files in which sources keep positions: their own, and Alloy's. */
const STATE = ["positions.json", "cursor.json", "positions.yml"];

function read(path: string, report: Report): readonly ImportedPosition[] | undefined {
  try {
    const text = readFileSync(path, "utf8");
    if (text.trim() !== "") return parsePositionsYaml(text);
    report.add("Warning", "--convert-positions", `${path} is empty`);
  } catch (error) {
    report.add("Error", "--convert-positions", `cannot read positions from ${path}: ${errorText(error)}`);
  }
  return undefined;
}

interface Entry {
  /** The key in Promtail's file. */
  readonly from: string;
  readonly path: string;
  readonly labels: string;
  readonly position: string;
}

/** Promtail keeps all in one file: paths of files with offsets, and under `cursor-` cursors of journals and times of containers. */
function entriesOf(reader: Reader, positions: readonly ImportedPosition[]): readonly Entry[] {
  switch (reader.kind) {
    case "file":
      return positions
        .filter((each) => !CURSOR.test(each.path))
        .map(({ path, position }) => ({ from: path, path, labels: "{}", position }));
    case "journal":
      return positions
        .filter((each) => CURSOR.test(each.path) && each.path.replace(CURSOR, "") === reader.job)
        .slice(0, 1)
        .map(({ path, position }) => ({ from: path, path: `cursor-${reader.id}`, labels: "", position }));
    case "docker":
      return positions
        .filter((each) => each.path.startsWith("cursor-") && SECONDS.test(each.position))
        .map(({ path, position }) => ({ from: path, path, labels: "{}", position }));
  }
}

function save(storage: string, { id }: Reader, entries: readonly Entry[]): void {
  const lines = entries.flatMap(({ path, labels, position }) => [
    `  ? path: ${JSON.stringify(path)}`,
    `    labels: ${JSON.stringify(labels)}`,
    `  : ${JSON.stringify(position)}`,
  ]);
  const folder = join(storage, id);
  const isNew = makeFolderSync(folder, 0o750);
  const file = join(folder, "positions.yml");
  writeFileSync(file, `positions:\n${lines.join("\n")}\n`, { mode: 0o600 });
  // Often root converts what another user runs.
  const { uid, gid } = statSync(storage);
  if (process.getuid?.() === 0) for (const path of isNew ? [file, folder] : [file]) chownSync(path, uid, gid);
}
