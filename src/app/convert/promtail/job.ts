import { quoteString } from "#lang/literal";
import type { Text } from "../environment.ts";
import { copyFields, field } from "../fields.ts";
import type { Reader } from "../format.ts";
import { labelFor, type Names } from "../names.ts";
import { Body, listOf, objectOf } from "../output.ts";
import { relabelRule } from "../relabel.ts";
import { DISCOVERIES, type Discovery, discoveryBody } from "../service-discovery.ts";
import type { Section, Value } from "../settings.ts";
import { dockerSource, SOURCES } from "./sources.ts";
import { convertStages, entryParser } from "./stages.ts";

/** What all jobs have in common. */
export interface JobContext {
  readonly names: Names;
  /** Where entries go behind a job's pipeline. */
  readonly receivers: readonly string[];
  readonly positionsFile: Value<string>;
  readonly syncPeriod: Value<number> | undefined;
  readonly fileWatch: Section | undefined;
  readonly readers: Reader[];
}

/** The name of the machine as Promtail takes it (`targets/file/filetargetmanager.go`, `hostname`). */
const HOSTNAME = 'coalesce(sys.env("HOSTNAME"), constants.hostname)';

const FILE_SETTINGS = ["encoding", "decompression"];

/** One of `scrape_configs`, as components: what finds and reads, then its pipeline. */
export class Job {
  readonly name: string;
  readonly label: string;
  readonly forwardTo: string;
  readonly #section: Section;
  readonly #context: JobContext;
  readonly #rules = new Body();
  readonly #stages = new Body();
  readonly #finders = new Body();
  readonly #readers = new Body();
  readonly #pipeline = new Body();
  #targets: string[] = [];
  #sharedRules: string | undefined;
  #relabelled: string | undefined;

  constructor(section: Section, index: number, context: JobContext) {
    this.#section = section;
    this.#context = context;
    const given = section.text("job_name");
    this.name = given?.fixed ?? `job_${index + 1}`;
    this.label = context.names.take("scrape_configs", labelFor(this.name));
    if (given?.fixed === undefined) {
      const why = given === undefined ? "has no job_name, which Promtail refuses" : "has its name from the environment";
      section.report.add("Warning", section.place, `${why}; its components are called ${this.label}`);
    } else if (this.label !== labelFor(this.name)) {
      section.add(
        "Warning",
        "job_name",
        `another job has the same name or one that differs in signs only; its components are called ${this.label}`,
      );
    }
    entryParser(section, this.#stages);
    convertStages(section.items("pipeline_stages"), `${section.path}.pipeline_stages`, section, this.#stages);
    if (this.#stages.isEmpty) this.forwardTo = listOf(context.receivers);
    else {
      const process = new Body();
      process.attribute("forward_to", listOf(context.receivers));
      process.append(this.#stages);
      this.forwardTo = `[${this.#write(this.#pipeline, "loki.process", this.label, process)}.receiver]`;
    }
  }

  get positionsFile(): Value<string> {
    return this.#context.positionsFile;
  }

  /** All of the job, in the order in which data flows. */
  convert(out: Body): void {
    const section = this.#section;
    this.#convertRules();
    for (const [setting, discovery] of DISCOVERIES) {
      if (setting !== "docker_sd_configs") this.#discover(setting, discovery);
    }
    this.#staticTargets();
    if (this.#targets.length > 0) this.#fileSource();
    else
      for (const name of FILE_SETTINGS)
        section.tell(name, "Info", "has a meaning for files only, which this job does not read");
    for (const [setting, convert] of SOURCES) {
      const source = section.section(setting);
      if (source !== undefined) convert(this, source);
    }
    for (const setting of ["docker_sd_configs", "docker_sd_config"]) this.#docker(setting);
    section.tell(
      "docker",
      "Error",
      "there is no such argument; use docker_sd_configs with a filter for the container's name",
    );
    section.rest([...DISCOVERIES.keys(), ...SOURCES.keys()]);
    if (this.#readers.isEmpty) {
      section.report.add(
        "Warning",
        section.place,
        "this job reads nothing that can be converted; only its pipeline is",
      );
    }
    out.append(this.#finders);
    out.append(this.#readers);
    out.append(this.#pipeline);
  }

  /** Adds what reads logs. Returns the component's id. */
  component(kind: string, label: string, body: Body): string {
    return this.#write(this.#readers, kind, label, body);
  }

  /** Tells of a component that keeps positions. */
  reader(kind: Reader["kind"], id: string): void {
    this.#context.readers.push({ id, kind, job: this.name });
  }

  object(fields: readonly (readonly [string, Text])[]): string {
    return objectOf(fields.map(([key, text]): [string, string] => [key, text.expression]));
  }

  /**
   * The rules of the job for a component that applies them itself, with others before them; undefined for none. Without
   * others they are the rules that targets go through, too.
   */
  rules(first?: Body): string | undefined {
    if (first === undefined || first.isEmpty) {
      if (this.#rules.isEmpty) return undefined;
      this.#sharedRules ??= this.#relabelTargets("[]");
      return `${this.#sharedRules}.rules`;
    }
    const body = new Body();
    body.attribute("targets", "[]");
    body.append(first);
    body.append(this.#rules);
    return `${this.#write(this.#finders, "discovery.relabel", this.label, body)}.rules`;
  }

  /** Where entries go whose labels the job's rules have to change on the way. */
  relabelledForwardTo(): string {
    if (this.#rules.isEmpty) return this.forwardTo;
    if (this.#relabelled === undefined) {
      const body = new Body();
      body.attribute("forward_to", this.forwardTo);
      body.append(this.#rules);
      this.#relabelled = `[${this.#write(this.#pipeline, "loki.relabel", this.label, body)}.receiver]`;
    }
    return this.#relabelled;
  }

  #write(to: Body, kind: string, wanted: string, body: Body): string {
    const label = this.#context.names.take(kind, wanted);
    to.attach(kind, body, label);
    return `${kind}.${label}`;
  }

  #convertRules(): void {
    const sections = this.#section.sections("relabel_configs");
    for (const rule of sections) relabelRule(rule, this.#rules);
    if (sections.some((rule) => rule.text("target_label")?.fixed === "__host__")) this.#keepOwnHost();
  }

  /** Promtail reads files of targets whose `__host__` is the machine's name, or which have none. */
  #keepOwnHost(): void {
    const rule = this.#rules.block("rule");
    rule.comment("Promtail leaves targets of other machines out by itself.");
    rule.attribute("source_labels", '["__host__"]');
    rule.attribute("regex", `"(" + ${HOSTNAME} + ")?"`);
    rule.attribute("action", '"keep"');
  }

  #discover(setting: string, discovery: Discovery): void {
    for (const section of this.#section.sections(setting)) {
      const ownPods = setting === "kubernetes_sd_configs" && section.text("role")?.fixed === "pod";
      const body = discoveryBody(discovery, section, ownPods ? `"spec.nodeName=" + ${HOSTNAME}` : undefined);
      if (ownPods) {
        section.report.add(
          "Info",
          "kubernetes_sd_configs",
          "only pods of this node are read, as Promtail does: give the agent the environment variable HOSTNAME with the " +
            "node's name (fieldRef: spec.nodeName) where its host name is another",
        );
      }
      this.#targets.push(`${this.#write(this.#finders, discovery.component, this.label, body)}.targets`);
    }
  }

  #staticTargets(): void {
    const pathByRule = this.#section
      .sections("relabel_configs")
      .some((rule) => rule.text("target_label")?.fixed === "__path__");
    const literals: string[] = [];
    for (const group of this.#section.sections("static_configs")) {
      const labels = group.textMap("labels") ?? new Map<string, Text>();
      const addresses = group
        .items("targets")
        .flatMap((each) => (each.kind === "scalar" ? [each.text.expression] : []));
      if (!labels.has("__path__") && !pathByRule) {
        group.report.add("Warning", group.place, "has no label __path__, so nothing is read for it, as with Promtail");
      }
      if (
        labels.has("__host__") &&
        !this.#section.sections("relabel_configs").some((rule) => rule.text("target_label")?.fixed === "__host__")
      ) {
        this.#keepOwnHost();
      }
      for (const address of addresses.length === 0 ? ['"localhost"'] : addresses) {
        const fields = [...labels].map(([key, text]): [string, string] => [key, text.expression]);
        literals.push(objectOf([...fields, ["__address__", address]]));
      }
      group.rest();
    }
    if (literals.length > 0) this.#targets.push(listOf(literals));
  }

  #relabelTargets(targets: string): string {
    const body = new Body();
    body.attribute("targets", targets);
    body.append(this.#rules);
    return this.#write(this.#finders, "discovery.relabel", this.label, body);
  }

  #fileSource(): void {
    const section = this.#section;
    let targets = this.#targets.length === 1 ? this.#targets[0]! : `array.concat(\n${this.#targets.join(",\n")},\n)`;
    if (!this.#rules.isEmpty) targets = `${(this.#sharedRules = this.#relabelTargets(targets))}.output`;
    const body = new Body();
    body.attribute("targets", targets);
    body.attribute("forward_to", this.forwardTo);
    copyFields(section, body, [field("encoding", "text", "")]);
    body.attribute("legacy_positions_file", this.positionsFile.expression);
    const match = body.block("file_match");
    match.attribute("enabled", "true");
    const { syncPeriod, fileWatch } = this.#context;
    if (syncPeriod !== undefined && syncPeriod.fixed !== 10_000) match.attribute("sync_period", syncPeriod.expression);
    const watch = new Body();
    if (fileWatch !== undefined) {
      const frequencies = ["min_poll_frequency", "max_poll_frequency"];
      copyFields(
        fileWatch,
        watch,
        frequencies.map((name) => field(name, "duration", 250)),
      );
    }
    if (!watch.isEmpty) body.attach("file_watch", watch);
    this.#decompression(body);
    this.reader("file", this.component("loki.source.file", this.label, body));
  }

  #decompression(body: Body): void {
    const section = this.#section.section("decompression");
    if (section === undefined) return;
    const enabled = section.flag("enabled");
    if (enabled === undefined || enabled.fixed === false) {
      section.skip("initial_delay", "format");
    } else {
      const block = body.block("decompression");
      block.attribute("enabled", enabled.expression);
      copyFields(section, block, [
        field("initial_delay", "duration", 0),
        field("format", "text", undefined, quoteString("")),
      ]);
    }
    section.rest();
  }

  #docker(setting: string): void {
    const discovery = DISCOVERIES.get("docker_sd_configs")!;
    for (const section of this.#section.sections(setting)) {
      const body = discoveryBody(discovery, section);
      const id = this.#write(this.#finders, discovery.component, this.label, body);
      dockerSource(this, section, `${id}.targets`, id.slice(discovery.component.length + 1));
    }
  }
}
