import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "#base/log";

const SYSTEM_FOLDERS = ["/var/log/journal", "/run/log/journal"] as const;

const GROUPS =
  "add the user that Invar runs as to the groups systemd-journal and adm (`usermod -aG adm,systemd-journal USER`) and restart it";

/** What is wrong with a journal. `failing`: nothing can be read of it. */
export interface JournalProblem {
  readonly state: "failing" | "degraded";
  readonly cause: string;
}

/** Looks at the folder, or at the system's if `path` is empty. Never rejects. */
export async function judgeFolder(path: string): Promise<JournalProblem | undefined> {
  return path === "" ? judgeSystem() : judgePath(path);
}

async function judgePath(path: string): Promise<JournalProblem | undefined> {
  const found = await lookInto(path);
  if (found === "missing") {
    return failing(
      `\`path\` ${path} does not exist: name the folder of the journal, or leave \`path\` out for the system's`,
    );
  }
  if (found === "no_folder") return failing(`\`path\` ${path} is no folder: name the folder that the journal is in`);
  if (found === "denied") return failing(`\`path\` ${path} cannot be read: no permission; ${GROUPS}`);
  if (typeof found === "string") return failing(`\`path\` ${path} cannot be read: ${found}`);
  if (found.files > 0) return undefined;
  return {
    state: "degraded",
    cause: `\`path\` ${path} holds no journal files (*.journal), nor do the folders in it: is it the right folder, and is it mounted?`,
  };
}

async function judgeSystem(): Promise<JournalProblem | undefined> {
  const machine = (await readFile("/etc/machine-id", "utf8").catch(() => "")).trim();
  const others: string[] = [];
  let folders = 0;
  let denied = "";
  for (const path of SYSTEM_FOLDERS) {
    const found = await lookInto(path);
    if (found === "denied") denied = path;
    if (typeof found === "string") continue;
    folders += 1;
    for (const [name, files] of found.byFolder) {
      if (name === "" || name === machine || name.startsWith(`${machine}.`)) {
        if (files > 0) return undefined;
      } else if (/^[0-9a-f]{32}$/.test(name) && files > 0) others.push(join(path, name));
    }
  }
  if (denied !== "") return failing(`${denied} cannot be read: no permission; ${GROUPS}`);
  const container = "In a container mount /var/log/journal, /run/log/journal and /etc/machine-id of the host";
  if (folders === 0) {
    const cause = `there is no journal: neither ${SYSTEM_FOLDERS.join(" nor ")} exists. Does systemd-journald run here? ${container}`;
    return failing(cause);
  }
  if (others.length > 0) {
    const cause = `the journal is of another machine: ${others[0]} does not belong to the id in /etc/machine-id (${machine || "none"}). ${container}, or set \`path\``;
    return failing(cause);
  }
  return {
    state: "degraded",
    cause: `${SYSTEM_FOLDERS.join(" and ")} hold no journal files of this machine. Does systemd-journald run here? ${container}`,
  };
}

type Look = "missing" | "no_folder" | "denied" | (string & {}) | Found;
interface Found {
  readonly files: number;
  /** Journal files by folder; the empty name is the folder itself. */
  readonly byFolder: ReadonlyMap<string, number>;
}

async function lookInto(path: string): Promise<Look> {
  try {
    const byFolder = new Map<string, number>([["", 0]]);
    let files = 0;
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const count = isJournal(entry.name) ? 1 : 0;
      if (entry.isDirectory()) {
        const inside = await readdir(join(path, entry.name)).catch(() => []);
        byFolder.set(entry.name, inside.filter(isJournal).length);
        files += byFolder.get(entry.name)!;
      } else byFolder.set("", byFolder.get("")! + count);
    }
    return { files: files + byFolder.get("")!, byFolder };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "missing";
    if (code === "ENOTDIR") return "no_folder";
    return code === "EACCES" || code === "EPERM" ? "denied" : errorText(error);
  }
}

function isJournal(name: string): boolean {
  return /\.journal~?$/.test(name);
}
function failing(cause: string): JournalProblem {
  return { state: "failing", cause };
}

/** What the end of journalctl, or what it said while it ran, means. Its words are those of the C locale. */
export function explainEnd(code: number | null, signal: string | null, said: string): JournalProblem {
  if (/insufficient permissions|Permission denied/i.test(said)) {
    return failing(`journalctl may not read the journal: ${lastLine(said)} To mend it, ${GROUPS}`);
  }
  const how = signal === null ? `with code ${code}` : `by ${signal}`;
  const words = said === "" ? "it said nothing" : lastLine(said);
  return failing(`journalctl ended ${how}: ${words}. It is started again where it was`);
}
export function explainStart(error: NodeJS.ErrnoException): JournalProblem {
  if (error.code === "ENOENT") {
    return failing(
      "journalctl is not there, and the journal is read with its help: install systemd's package, or in a container use an image that has it",
    );
  }
  return failing(`journalctl cannot be started: ${errorText(error)}`);
}
/** journalctl shows a user without rights their own entries, and says so. */
export function explainHint(said: string): JournalProblem | undefined {
  if (!/not seeing messages from other users/.test(said)) return undefined;
  return { state: "degraded", cause: `only entries of Invar's own user can be read, not the system's: ${GROUPS}` };
}

function lastLine(said: string): string {
  return said.trim().split("\n").at(-1)!.trim();
}
