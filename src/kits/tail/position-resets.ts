import { chown, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "#pipeline/make-folder";

/**
 * Requests to begin anew, which `invar positions reset` leaves in a component's folder. Only the component itself writes
 * its positions, so a request is safe whether an agent runs or not: one that runs takes it over within a second, another
 * one when it starts.
 */

export interface PositionReset {
  readonly path: string;
  /** The target's labels as text. */
  readonly labels: string;
  /** Read everything again, or pass over all that is there. */
  readonly to: "start" | "end";
}

const FILE = "positions.reset.json";
const VERSION = 1;

export function resetsPath(directory: string): string {
  return join(directory, FILE);
}

/** The requests that nobody has taken over yet. Rejects if there are some that cannot be read or understood. */
export async function readResets(directory: string): Promise<readonly PositionReset[]> {
  const path = resetsPath(directory);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const broken = () => new Error(`${path} is damaged. Remove it, and reset the positions again`);
  let content: { version?: unknown; resets?: unknown };
  try {
    content = JSON.parse(text);
  } catch {
    throw broken();
  }
  if (content?.version !== VERSION || !Array.isArray(content.resets)) throw broken();
  return content.resets.map((each: Partial<PositionReset>) => {
    const { path: file, labels, to } = each;
    if (typeof file !== "string" || typeof labels !== "string" || (to !== "start" && to !== "end")) throw broken();
    return { path: file, labels, to };
  });
}

/** Adds requests to those that are there; of two for one position the later one counts. */
export async function writeResets(directory: string, resets: readonly PositionReset[]): Promise<void> {
  const all = new Map<string, PositionReset>();
  for (const each of [...(await readResets(directory)), ...resets]) all.set(`${each.path}\0${each.labels}`, each);
  const path = resetsPath(directory);
  const temporary = `${path}.tmp`;
  await makeFolder(directory, 0o750);
  const { uid, gid } = await stat(directory);
  const handle = await open(temporary, "w", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify({ version: VERSION, resets: [...all.values()] })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  // Root writes for the agent's user, who has to read it.
  if (process.geteuid?.() === 0) await chown(temporary, uid, gid);
  await rename(temporary, path);
}

/** Takes the requests over: they are gone afterwards, so that a later start does not carry them out once more. */
export async function takeResets(directory: string): Promise<readonly PositionReset[]> {
  const resets = await readResets(directory);
  if (resets.length > 0) await rm(resetsPath(directory), { force: true });
  return resets;
}
