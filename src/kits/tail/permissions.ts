import { constants, readFileSync, type Stats, statSync } from "node:fs";
import { access } from "node:fs/promises";

/** Who may read what, for messages about files that cannot be read. Asks the system anew each time: not for hot paths. */

const READ = 0o4;
const SEARCH = 0o1;
/** Bits of CapEff in /proc/self/status with which mode bits do not count for reading. */
const CAP_DAC_OVERRIDE = 1n << 1n;
const CAP_DAC_READ_SEARCH = 1n << 2n;

/**
 * Whether the agent may read a file. The mode usually says so; only where it says no the system is asked, since a
 * capability or an access list may allow what the mode does not.
 */
export async function mayRead(path: string, stats: Stats): Promise<boolean> {
  if (has(stats, READ, identity())) return true;
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

/** Which permission is missing on the way to `path`, and what would give it. For paths that were refused. */
export function missingPermission(path: string): string {
  const agent = identity();
  const parts = path.split("/").filter((part) => part !== "");
  for (let i = 0; i <= parts.length; i++) {
    const at = `/${parts.slice(0, i).join("/")}`;
    let stats: Stats;
    try {
      stats = statSync(at);
    } catch {
      break;
    }
    const isLast = i === parts.length;
    const needed = stats.isDirectory() ? (isLast ? READ | SEARCH : SEARCH) : READ;
    if (!has(stats, needed, agent)) return explain(at, stats, needed, agent);
  }
  return "its mode allows it, so an access list or a security policy (SELinux, AppArmor, a mount option) forbids it";
}

interface Identity {
  readonly uid: number;
  readonly groups: ReadonlySet<number>;
  /** Mode bits do not count. */
  readonly privileged: boolean;
}

function identity(): Identity {
  const uid = process.geteuid?.() ?? 0;
  const groups = new Set([process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]);
  return { uid, groups, privileged: uid === 0 && mayReadAll() };
}

/** Root's capabilities hardly ever change while the agent runs; thousands of files are asked about in a row. */
const CAPABILITIES_MS = 5_000;
let capabilities: { readonly readAll: boolean; readonly until: number } | undefined;

/** A root user in a container may have lost the capability that root's right to read everything consists of. */
function mayReadAll(): boolean {
  if (capabilities === undefined || performance.now() >= capabilities.until) {
    const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(contentOf("/proc/self/status"))?.[1];
    const readAll =
      effective === undefined || (BigInt(`0x${effective}`) & (CAP_DAC_OVERRIDE | CAP_DAC_READ_SEARCH)) !== 0n;
    capabilities = { readAll, until: performance.now() + CAPABILITIES_MS };
  }
  return capabilities.readAll;
}

function has(stats: Stats, needed: number, { uid, groups, privileged }: Identity): boolean {
  const shift = stats.uid === uid ? 6 : groups.has(stats.gid) ? 3 : 0;
  return privileged || ((stats.mode >> shift) & needed) === needed;
}

function explain(at: string, stats: Stats, needed: number, agent: Identity): string {
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
  const owner = `${nameOf("/etc/passwd", stats.uid)}:${nameOf("/etc/group", stats.gid)}`;
  const what = stats.isDirectory() ? "directory" : "file";
  const user = nameOf("/etc/passwd", agent.uid);
  const groups = [...agent.groups].map((gid) => nameOf("/etc/group", gid)).join(", ");
  return (
    `the ${what} ${at} (mode ${mode}, owner ${owner}) lacks ${RIGHTS.get(needed)} permission for the agent, ` +
    `which runs as user ${user} in group ${groups}: ${remedy(at, stats, needed, agent, user)}`
  );
}

const RIGHTS = new Map([
  [READ, "read (r)"],
  [SEARCH, "search (x)"],
  [READ | SEARCH, "list (r and x)"],
]);

function remedy(at: string, stats: Stats, needed: number, agent: Identity, user: string): string {
  if (agent.uid === 0) return "as root it needs the capability DAC_READ_SEARCH, or a user who may read it";
  const letters = `${needed & READ ? "r" : ""}${needed & SEARCH ? "x" : ""}`;
  if (stats.uid === agent.uid) return `run chmod u+${letters} ${at}`;
  const isGroupAllowed = ((stats.mode >> 3) & needed) === needed && !agent.groups.has(stats.gid);
  // Nobody should join root's group for a log file.
  if (isGroupAllowed && stats.gid !== 0) {
    const group = nameOf("/etc/group", stats.gid);
    return `members of group ${group} may, so run usermod -aG ${group} ${user} and restart the agent (in Kubernetes: supplementalGroups: [${stats.gid}])`;
  }
  return `run setfacl -m u:${user}:${letters} ${at}, or run the agent as a user who may`;
}

/** A name from the system's files, or the number. */
function nameOf(file: "/etc/passwd" | "/etc/group", id: number): string {
  for (const line of contentOf(file).split("\n")) {
    const [name, , number] = line.split(":");
    if (name && number === String(id)) return name;
  }
  return String(id);
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // another system, or a container without it
  }
}
