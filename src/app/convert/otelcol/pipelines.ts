import type { Report, Severity } from "../report.ts";
import type { Section } from "../settings.ts";
import { type Kind, SIGNALS, type Signal } from "./catalogue.ts";
import type { SettingsTree } from "./settings-tree.ts";

/** One of `service.pipelines`. Those of the same name make a group, as in Alloy's converter. */
export interface Pipeline {
  readonly signal: Signal;
  readonly group: string;
  readonly place: string;
  /** The components' names; connectors are among the exporters and receivers. */
  readonly receivers: readonly string[];
  readonly processors: readonly string[];
  readonly exporters: readonly string[];
}

/** In the order of their groups' names, metrics before logs before traces. */
export function readPipelines(service: SettingsTree, report: Report): readonly Pipeline[] {
  const tree = service.child("pipelines");
  const pipelines: Pipeline[] = [];
  for (const name of tree?.section.names ?? []) {
    const [signal = "", group = ""] = splitName(name);
    const inner = tree!.child(name);
    if (inner === undefined) continue;
    if (!SIGNALS.includes(signal as Signal)) {
      const why =
        signal === "profiles" ? "Alloy's components take no profiles" : "pipelines are of traces, metrics or logs";
      report.add("Error", tree!.section.at(name), `${why}; it is left out with what only it uses`);
      inner.section.skip(...inner.section.names);
      continue;
    }
    pipelines.push({
      signal: signal as Signal,
      group,
      place: tree!.section.at(name),
      receivers: namesOf(inner.section, "receivers"),
      processors: namesOf(inner.section, "processors"),
      exporters: namesOf(inner.section, "exporters"),
    });
  }
  const order = ({ signal }: Pipeline) => SIGNALS.indexOf(signal);
  return pipelines.sort((a, b) => (a.group === b.group ? order(a) - order(b) : a.group < b.group ? -1 : 1));
}

export function namesOf(section: Section, setting: string): readonly string[] {
  const { fixed } = section.texts(setting, true) ?? { fixed: [] };
  if (fixed === undefined) section.add("Error", setting, "names from the environment are not possible; it is left out");
  return [...new Set((fixed ?? []).map((each) => each.trim()))];
}

/** `otlp/tempo` is of type `otlp` and has the name `tempo`. */
export function splitName(id: string): readonly [type: string, name: string] {
  const at = id.indexOf("/");
  return at < 0 ? [id.trim(), ""] : [id.slice(0, at).trim(), id.slice(at + 1).trim()];
}

/** The label that Alloy's converter gives: of the pipelines' group and the component's name. */
export function labelOf(group: string, id: string): string {
  const name = splitName(id)[1];
  return group === "" && name === "" ? "default" : `${group || "default"}_${name || "default"}`;
}

/** What the source defines under `receivers`, `processors` and so on. */
export class Definitions {
  readonly #trees: ReadonlyMap<Kind, SettingsTree>;
  readonly #used = new Set<string>();
  readonly #report: Report;

  constructor(root: SettingsTree, report: Report) {
    const kinds: readonly Kind[] = ["receiver", "processor", "exporter", "connector", "extension"];
    const trees = kinds.flatMap((kind) => {
      const tree = root.child(`${kind}s`);
      return tree === undefined ? [] : [[kind, tree] as const];
    });
    this.#trees = new Map(trees);
    this.#report = report;
  }

  has(kind: Kind, id: string): boolean {
    return this.#trees.get(kind)?.section.names.includes(id) === true;
  }

  /** The settings of a component; undefined, with a finding at `place`, if there is no such one. */
  find(kind: Kind, id: string, place: string): SettingsTree | undefined {
    this.#used.add(`${kind} ${id}`);
    if (!this.has(kind, id)) {
      this.#report.add("Error", place, `${kind}s has no ${id}, which the Collector refuses; it is left out`);
      return undefined;
    }
    return this.#trees.get(kind)!.child(id);
  }

  /** Tells of a component that is left out with all its settings. */
  leaveOut(kind: Kind, id: string, message: string, severity: Severity = "Error"): void {
    const tree = this.#trees.get(kind)!;
    const inner = tree.child(id);
    inner?.section.skip(...inner.section.names);
    this.#report.add(severity, tree.section.at(id), message);
  }

  /** Names what nothing uses, which the Collector does not start either. */
  tellOfUnused(): void {
    for (const [kind, { section }] of this.#trees) {
      for (const id of section.names.filter((each) => !this.#used.has(`${kind} ${each}`))) {
        section.skip(id);
        const where = kind === "extension" ? "service.extensions" : "a pipeline";
        section.add("Warning", id, `is not in ${where}, so that the Collector does not start it; it is left out`);
      }
    }
  }
}
