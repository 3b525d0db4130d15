import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "#base/log";
import { Glob, GlobError } from "#kits/tail/glob";
import { type PositionReset, readResets, resetsPath, writeResets } from "#kits/tail/position-resets";
import { nearest } from "#lang/suggest";
import { type Command, EXIT, outputStyle, type Terminal } from "../cli.ts";
import { type ParsedCommandLine, UsageError } from "../command-line.ts";
import { hasPositions, type PositionRow, readPositions } from "../positions/read-positions.ts";
import { matcherOf } from "../terminal/component-view.ts";
import { shortBytes } from "../terminal/quantities.ts";
import { type Cell, type Column, layOutTable, type OutputStyle } from "../terminal/table.ts";

/** How long a running agent is given to take a request over; it looks once a second. */
const TAKEN_WITHIN_MS = 3_000;
const LOOK_MS = 50;
/** Modules inside of modules are folders inside of folders. */
const MAX_DEPTH = 20;

export const positions: Command = {
  usage: "invar positions ls|reset [flags] [path-glob ...]",
  summary: "Show how far files were delivered, and begin anew with some of them",
  flags: [
    {
      name: "storage.path",
      type: "string",
      default: "data-alloy/",
      help: "Storage folder of the agent, as its flag of the same name",
    },
    { name: "component", type: "string", default: "*", help: "Only components whose id matches this glob" },
    { name: "json", type: "bool", default: false, help: "Print JSON" },
    { name: "to", type: "string", default: "", help: "reset: start reads files again, end passes over what they hold" },
    { name: "dry-run", type: "bool", default: false, help: "reset: only say what would be done" },
  ],
  positional: [1, 1_000],

  async run(line, terminal) {
    const [action, ...globs] = line.positional;
    if (action !== "ls" && action !== "reset") {
      const hint = nearest(action!, ["ls", "reset"]);
      throw new UsageError(`"${action}" is neither ls nor reset${hint === undefined ? "" : `; did you mean ${hint}?`}`);
    }
    const rows = await chosenRows(line, globs);
    if (rows === undefined) {
      terminal.error(`Error: ${await whyNothing(line, globs)}\n`);
      return EXIT.failed;
    }
    if (action === "reset") return reset(line, globs, rows, terminal);
    terminal.out(
      line.flags.get("json") === true
        ? `${JSON.stringify(rows.map(shown), null, 2)}\n`
        : positionsText(rows, outputStyle()),
    );
    return EXIT.ok;
  },
};

/** A row without the folder that it is from. */
function shown({ directory: _, ...row }: PositionRow): Omit<PositionRow, "directory"> {
  return row;
}

/** The positions that match; undefined if none does though some were asked for. */
async function chosenRows(line: ParsedCommandLine, globs: readonly string[]): Promise<PositionRow[] | undefined> {
  const matches = pathMatcher(globs);
  const rows = (await allRows(line)).filter((row) => matches(row.path));
  const isNarrowed = globs.length > 0 || line.given.has("component") || line.positional[0] === "reset";
  return rows.length === 0 && isNarrowed ? undefined : rows;
}

async function allRows(line: ParsedCommandLine): Promise<PositionRow[]> {
  const storage = line.flags.get("storage.path") as string;
  const isWanted = matcherOf([line.flags.get("component") as string]);
  const rows: PositionRow[] = [];
  for (const { id, directory } of await componentFolders(storage)) {
    if (isWanted(id)) rows.push(...(await readPositions(id, directory)));
  }
  return rows;
}

/** Folders of components that keep positions, by their ids. */
async function componentFolders(storage: string): Promise<{ readonly id: string; readonly directory: string }[]> {
  const found: { id: string; directory: string }[] = [];
  const walk = async (directory: string, path: readonly string[]): Promise<void> => {
    const entries = await readdir(directory, { withFileTypes: true });
    for (const entry of entries.filter((each) => each.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const inside = join(directory, entry.name);
      const id = [...path, entry.name];
      if (hasPositions(entry.name)) found.push({ id: id.join("/"), directory: inside });
      else if (id.length < MAX_DEPTH) await walk(inside, id);
    }
  };
  try {
    await walk(storage, []);
  } catch (error) {
    throw new Error(explainStorage(storage, error as NodeJS.ErrnoException), { cause: error });
  }
  return found;
}

function explainStorage(storage: string, error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") {
    return `there is no storage folder ${storage}: give that of the agent with --storage.path, as it was given to invar run`;
  }
  if (error.code === "EACCES") return `${error.message}: run this as the agent's user, or as root`;
  return errorText(error);
}

/** Whether a path matches one of the patterns; one without a leading slash may begin anywhere. */
function pathMatcher(globs: readonly string[]): (path: string) => boolean {
  try {
    const patterns = globs.map((each) => new Glob(each.startsWith("/") ? each : `/**/${each}`));
    return (path) => patterns.length === 0 || patterns.some((pattern) => pattern.match(path));
  } catch (error) {
    if (error instanceof GlobError) throw new UsageError(`syntax error in pattern: ${error.message}`);
    throw error;
  }
}

async function whyNothing(line: ParsedCommandLine, globs: readonly string[]): Promise<string> {
  const storage = line.flags.get("storage.path") as string;
  const folders = await componentFolders(storage);
  if (folders.length === 0) return `no component keeps positions in ${storage}; is it the agent's --storage.path?`;
  const component = line.flags.get("component") as string;
  const ids = folders.map(({ id }) => id);
  if (!ids.some(matcherOf([component]))) {
    const hint = nearest(component, ids);
    return `no component matches ${component}: ${hint === undefined ? `there is ${ids.join(", ")}` : `did you mean ${hint}?`}`;
  }
  const paths = [...new Set((await allRows(line)).map(({ path }) => path))];
  if (paths.length === 0) return "nothing has a position yet";
  const hint = nearest(globs[0] ?? "", paths) ?? paths[0];
  return `no position matches ${globs.join(" or ")}: patterns are matched against whole paths, such as ${hint}`;
}

const COLUMNS: readonly Column[] = [
  { title: "COMPONENT", align: "left" },
  { title: "STATE", align: "left" },
  { title: "POSITION", align: "right" },
  { title: "UNREAD", align: "right" },
  { title: "PATH", align: "left" },
  { title: "LABELS", align: "left" },
];

function positionsText(rows: readonly PositionRow[], style: OutputStyle): string {
  if (rows.length === 0) return "There are no positions yet.\n";
  const cells = rows.map((row): readonly Cell[] => [
    { text: row.component },
    { text: row.pendingReset === undefined ? row.state : `reset to ${row.pendingReset} waits` },
    { text: row.position },
    { text: row.unreadBytes === undefined ? "-" : shortBytes(row.unreadBytes) },
    { text: row.nowPath === undefined ? row.path : `${row.path} (now ${row.nowPath})` },
    { text: row.labels },
  ]);
  return `${layOutTable(COLUMNS, cells, style).join("\n")}\n`;
}

async function reset(
  line: ParsedCommandLine,
  globs: readonly string[],
  rows: readonly PositionRow[],
  terminal: Terminal,
): Promise<number> {
  const to = line.flags.get("to");
  if (to !== "start" && to !== "end") {
    throw new UsageError(
      "reset needs --to=start, which reads files again, or --to=end, which passes over what they hold",
    );
  }
  if (globs.length === 0 && !line.given.has("component")) {
    throw new UsageError("reset needs patterns of paths or --component; '/**' stands for all files");
  }
  const byFolder = new Map<string, { readonly component: string; readonly resets: Map<string, PositionReset> }>();
  for (const { directory, component, kind, path, labels } of rows) {
    if (kind !== "file") {
      throw new Error(
        `positions of ${component} cannot be reset by this command: stop the agent and remove ${directory}; ` +
          "--component chooses others",
      );
    }
    const known = byFolder.get(directory) ?? { component, resets: new Map() };
    byFolder.set(directory, known);
    known.resets.set(`${path}\0${labels}`, { path, labels, to });
  }
  if (line.flags.get("dry-run") === true) {
    for (const { component, resets } of byFolder.values()) {
      for (const { path, labels } of resets.values()) terminal.out(`${component}: ${path} ${labels} to the ${to}\n`);
    }
    terminal.out("Nothing was changed (--dry-run).\n");
    return EXIT.ok;
  }
  for (const [directory, { resets }] of byFolder) await leaveRequest(directory, [...resets.values()]);
  for (const [directory, { component, resets }] of byFolder) {
    const count = `${resets.size} ${resets.size === 1 ? "position" : "positions"}`;
    const outcome = (await isTaken(directory))
      ? `reset to the ${to} by the running agent`
      : `will be reset to the ${to} when the agent starts; none that runs has taken the request over`;
    terminal.out(`${component}: ${count} ${outcome}\n`);
  }
  return EXIT.ok;
}

async function leaveRequest(directory: string, resets: readonly PositionReset[]): Promise<void> {
  try {
    await writeResets(directory, resets);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const hint = code === "EACCES" || code === "EPERM" ? ": run this as the agent's user, or as root" : "";
    throw new Error(`${errorText(error)}${hint}`, { cause: error });
  }
}

/** Whether an agent takes the request over in time; it removes the file then. */
async function isTaken(directory: string): Promise<boolean> {
  for (const end = Date.now() + TAKEN_WITHIN_MS; Date.now() < end; ) {
    const isThere = await stat(resetsPath(directory)).then(
      () => true,
      () => false,
    );
    if (!isThere) return true;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return (await readResets(directory)).length === 0;
}
