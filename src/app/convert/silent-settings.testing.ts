import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parse, stringify } from "yaml";

/** What a conversion comes to. */
export interface Outcome {
  readonly text: string | undefined;
  /** Those of the report. */
  readonly lines: readonly string[];
}

type Path = readonly (string | number)[];
type Tree = Record<string | number, unknown>;

/**
 * Takes each setting of the sources away in turn. Gives those, as `file: path`, without which the output and the report
 * are the same, while the report does not name what they are in either.
 */
export function silentSettings(
  sources: readonly string[],
  convert: (text: string, source: string) => Outcome,
): { readonly silent: readonly string[]; readonly checked: number } {
  const silent: string[] = [];
  const outcomes = new Map<string, string>();
  let checked = 0;
  for (const source of sources) {
    const name = basename(source, ".yaml");
    const tree: unknown = parse(readFileSync(source, "utf8"), { merge: true, uniqueKeys: false });
    const outcome = (part: unknown) => comparable(convert(stringify(part), source));
    for (const leaf of leaves(tree)) {
      const { part, path } = isolate(tree, leaf);
      const key = JSON.stringify([name, part]);
      let before = outcomes.get(key);
      if (before === undefined) outcomes.set(key, (before = outcome(part)));
      remove(part, path);
      const after = outcome(part);
      checked += 1;
      const names = path.map((_, i) => pathText(path.slice(0, i + 1)));
      if (before === after && !names.some((each) => after.includes(`${each} (line`)))
        silent.push(`${name}: ${names.at(-1)}`);
    }
  }
  return { silent, checked };
}

/** Output and report of a source; lines of the source do not count. */
function comparable({ text, lines }: Outcome): string {
  return [text, ...lines]
    .join("\n")
    .replaceAll(/\(line \d+\)/g, "(line)")
    .replaceAll(/line \d+/g, "line");
}

function leaves(value: unknown, path: Path = []): Path[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => leaves(item, [...path, i]));
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([key, item]) => leaves(item, [...path, key]));
}

/** A copy with only what stands beside the leaf, so that it is quickly converted: its job, and of lists its element. */
function isolate(source: unknown, path: Path): { part: unknown; path: Path } {
  const part = structuredClone(source) as Tree;
  const steps = [...path];
  let at = part;
  for (let i = 0; i + 1 < steps.length; i++) {
    const next = at[steps[i]!] as Tree;
    if (Array.isArray(next) && typeof steps[i + 1] === "number" && i + 2 < steps.length) {
      next.splice(0, next.length, next[steps[i + 1] as number]);
      steps[i + 1] = 0;
    }
    at = next;
    if (i === 1 && steps[0] === "scrape_configs") {
      for (const key of Object.keys(at)) if (!["job_name", "static_configs", steps[2]].includes(key)) delete at[key];
    }
  }
  return { part, path: steps };
}

function remove(value: unknown, path: Path): void {
  const [step, ...rest] = path;
  if (rest.length > 0) remove((value as Tree)[step!], rest);
  else if (Array.isArray(value)) value.splice(Number(step), 1);
  else delete (value as Tree)[step!];
}

function pathText(path: Path): string {
  return path
    .map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`))
    .join("")
    .slice(1);
}
