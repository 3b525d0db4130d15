import { glob, readdir, readFile, stat } from "node:fs/promises";
import type { MetricSample } from "#base/metrics";
import { parseTextFile, type TextFamily } from "#formats/text-file";
import { gauge, type Page } from "#kits/exporter/page";
import type { Collector, CollectorDefinition, CollectorOptions } from "../collector.ts";
import { explain } from "../files.ts";

const mtime = gauge("node_textfile_mtime_seconds", "Unixtime mtime of textfiles successfully read.", "file");
const scrapeError = gauge(
  "node_textfile_scrape_error",
  "1 if there was an error opening or reading a file, 0 otherwise",
);

/** Files and directories that cannot be read, as messages name them. */
const SHOWN_PROBLEMS = 3;

export const textfile: CollectorDefinition = {
  name: "textfile",
  enabledByDefault: true,
  create: (options) => new TextfileCollector(options),
};

/** Families of one name from all files. */
interface Merged {
  readonly type: TextFamily["type"];
  help: string | undefined;
  readonly paths: string[];
  readonly samples: MetricSample[];
}

class TextfileCollector implements Collector {
  readonly #options: CollectorOptions;
  problem: string | undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  async collect(page: Page): Promise<void> {
    const problems: string[] = [];
    const fail = (message: string, path: string, error: unknown) => {
      const why = typeof error === "string" ? error : explain(error);
      problems.push(why.includes(path) ? `${message}: ${why}` : `${message} ${path}: ${why}`);
    };

    const merged = new Map<string, Merged>();
    for (const folder of await this.#folders()) {
      let names: string[] = [];
      try {
        names = (await readdir(folder)).filter((name) => name.endsWith(".prom")).sort();
      } catch (error) {
        fail("cannot read the directory of text files", folder, error);
      }
      for (const name of names) {
        const path = `${folder.replace(/\/$/, "")}/${name}`;
        try {
          const families = parseTextFile(await readFile(path, "utf8"));
          const problem = merge(merged, families, path);
          if (problem !== undefined) fail("left out a part of", path, problem);
          page.add(mtime, Math.floor((await stat(path)).mtimeMs / 1000), path);
        } catch (error) {
          fail("cannot read", path, error);
        }
      }
    }
    for (const [name, family] of merged) addFamily(page, name, family);
    this.problem = problems.length === 0 ? undefined : problems.slice(0, SHOWN_PROBLEMS).join("; ");
    page.add(scrapeError, problems.length > 0 ? 1 : 0);
  }

  /** The configured folder, or all that match it if it has wildcards. */
  async #folders(): Promise<string[]> {
    const { directory } = this.#options.args.textfile;
    if (directory === "") return [];
    if (!/[*?[{]/.test(directory)) return [directory];
    const folders: string[] = [];
    for await (const folder of glob(directory)) folders.push(folder);
    return folders.length > 0 ? folders.sort() : [directory];
  }
}

/** Adds the families of a file. Returns what is wrong with those that it had to leave out. */
function merge(merged: Map<string, Merged>, families: readonly TextFamily[], path: string): string | undefined {
  let problem: string | undefined;
  for (const { name, type, help, samples } of families) {
    let known = merged.get(name);
    if (known === undefined) merged.set(name, (known = { type, help, paths: [], samples: [] }));
    else if (known.type !== type || (help !== undefined && known.help !== undefined && known.help !== help)) {
      problem = `${name} has another type or help text in ${known.paths[0]}`;
      continue;
    }
    known.help ??= help;
    known.paths.push(path);
    const present = new Set(known.samples.map(identity));
    for (const sample of samples) {
      if (present.has(identity(sample))) problem = `${sample.name} is there twice with the same labels`;
      else known.samples.push(sample);
      present.add(identity(sample));
    }
  }
  return problem;
}

function identity({ name, labels }: MetricSample): string {
  const pairs: string[] = [];
  for (let i = 0; i < labels.length; i += 2) pairs.push(`${labels[i]}\xff${labels[i + 1]}`);
  return [name, ...pairs.sort()].join("\xff\xff");
}

/** Gives all samples of a family the same labels, empty where they had none, as node_exporter does. */
function addFamily(page: Page, name: string, { type, help, paths, samples }: Merged): void {
  const metric = { name, type, help: help ?? `Metric read from ${paths.join(", ")}` };
  const names = new Set<string>();
  for (const { labels } of samples) {
    for (let i = 0; i < labels.length; i += 2) if (!isBound(type, labels[i]!)) names.add(labels[i]!);
  }
  for (const sample of samples) {
    const labels = [...sample.labels];
    for (const label of names) {
      if (!sample.labels.some((text, i) => i % 2 === 0 && text === label)) labels.push(label, "");
    }
    page.addSample(metric, { ...sample, labels });
  }
}

function isBound(type: TextFamily["type"], label: string): boolean {
  return (type === "histogram" && label === "le") || (type === "summary" && label === "quantile");
}
