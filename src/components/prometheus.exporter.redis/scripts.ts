import { parseGoFloat } from "#formats/go-number";
import type { WatchedFiles } from "#kits/http/client-files";
import { RedisError, type RedisReply } from "#kits/redis-protocol";
import type { RedisArguments } from "./arguments.ts";
import { ask, list, type Scrape, text } from "./scrape.ts";

/** What `script_result` says of a script. */
const FAILED = 0;
const SUCCEEDED = 1;
const EMPTY = 2;

/** Paths of the scripts, which are also the values of the label `filename`. */
function scriptPaths({ script_path, script_paths }: RedisArguments): readonly string[] {
  return script_path === "" ? script_paths : script_path.split(",");
}

/**
 * Metrics of the user's Lua scripts. Matches redis_exporter's `exporter/lua.go`, but for this: a script that fails is no
 * reason to say that the server is down, and the next one still runs.
 */
export async function addScripts(scrape: Scrape, database: number, files: WatchedFiles): Promise<void> {
  // Scripts find the database that the address names, whatever was looked at before them.
  if (scriptPaths(scrape.args).length > 0) await ask(scrape, "SELECT", ["SELECT", database]);
  for (const path of scriptPaths(scrape.args)) {
    const result = await run(scrape, files, path).catch((error: Error) => {
      if (!(error instanceof ScriptError)) throw error;
      scrape.note("script", error.message);
      return FAILED;
    });
    scrape.page.gauge("script_result", result, path);
  }
}

class ScriptError extends Error {}

async function run(scrape: Scrape, files: WatchedFiles, path: string): Promise<number> {
  const script = await files.read(path, "its file").catch((error: Error) => {
    throw new ScriptError(error.message);
  });
  const [reply] = await scrape.server.pipeline([["EVAL", script.toString("utf8"), 0, 0]]);
  if (reply instanceof RedisError) throw new ScriptError(`${path} fails: ${reply.message}`);
  const pairs = list(reply);
  const wrong = (what: string) => new ScriptError(`${path} must return a list of names and values: ${what}`);
  if (reply !== null && !Array.isArray(reply)) throw wrong("it returns something else");
  if (pairs.length % 2 !== 0) throw wrong("the last name has no value");
  const values = new Map<string, number>();
  for (let i = 0; i < pairs.length; i += 2) {
    const value = numberOf(pairs[i + 1]!);
    if (value === undefined) throw wrong(`the value of ${text(pairs[i])} is no number`);
    values.set(text(pairs[i]), value);
  }
  for (const [key, value] of values) scrape.page.gauge("script_values", value, key, path);
  return values.size === 0 ? EMPTY : SUCCEEDED;
}

function numberOf(reply: RedisReply): number | undefined {
  return typeof reply === "number" ? reply : parseGoFloat(text(reply));
}
