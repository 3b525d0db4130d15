import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "#base/log";

const QUEUE = /^queue-[0-9a-f]{16}$/;

/**
 * Deletes queues under `dataPath` of endpoints that are no longer configured, once nothing was written to them for
 * `keepMs`: until then the endpoint may come back (a mistake in the configuration was mended) and go on.
 */
export async function removeLeftOvers(
  dataPath: string,
  inUse: ReadonlySet<string>,
  keepMs: number,
  now: number,
  log: Logger,
): Promise<void> {
  const names = await readdir(dataPath).catch(() => []);
  for (const name of names) {
    const folder = join(dataPath, name);
    if (!QUEUE.test(name) || inUse.has(folder)) continue;
    let newest = 0;
    let bytes = 0;
    for (const file of await readdir(folder).catch(() => [])) {
      const facts = await stat(join(folder, file)).catch(() => undefined);
      newest = Math.max(newest, facts?.mtimeMs ?? 0);
      bytes += facts?.size ?? 0;
    }
    if (now - newest < keepMs) continue;
    await rm(folder, { recursive: true, force: true });
    log.warn("deleted the queue of an endpoint that is no longer configured", { folder, bytes });
  }
}
