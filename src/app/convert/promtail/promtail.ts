import { Environment } from "../environment.ts";
import { copyFields, field } from "../fields.ts";
import { type Conversion, NOTHING, type Reader, type SourceFormat } from "../format.ts";
import { Names } from "../names.ts";
import { Body, listOf } from "../output.ts";
import type { Report } from "../report.ts";
import { Section } from "../settings.ts";
import { readRoot } from "../source.ts";
import { convertClient, LAG_LABELS, type Writer } from "./clients.ts";
import { applyFlags, expandsEnvironment, readFlags } from "./flags.ts";
import { Job } from "./job.ts";
import { convertServer } from "./server.ts";

/**
 * Promtail, versions 0.1 to 3. Names, defaults and the shape of the output are those of Alloy's converter
 * (internal/converter/internal/promtailconvert); docs/migrate-from-promtail.md lists where this one does more.
 */
export const promtail: SourceFormat = {
  convert(text, extraArguments, report) {
    const flags = readFlags(extraArguments, report);
    const environment = new Environment(text, expandsEnvironment(flags));
    const root = readRoot(environment, report, { name: "Promtail", settings: "clients and scrape_configs" });
    if (root === undefined) return NOTHING;
    tellOfEnvironment(text, environment, expandsEnvironment(flags), report);
    applyFlags(root, flags, report);
    return new PromtailConverter(new Section(root, "", report), report).convert();
  },
};

/** References in capitals, so that `${1}` and `${name}` of replacements are left alone. */
const LIKELY_REFERENCE = /\$\{[A-Z_][A-Z0-9_]*(?::[^}\n]*)?\}/;

function tellOfEnvironment(text: string, environment: Environment, expand: boolean, report: Report): void {
  if (!expand) {
    const line = text.split("\n").findIndex((each) => LIKELY_REFERENCE.test(each.replace(/(^|\s)#.*$/, "")));
    if (line >= 0) {
      report.add(
        "Warning",
        `line ${line + 1}`,
        "references to the environment stay as they are; if Promtail replaced them, convert with --extra-args=-config.expand-env",
      );
    }
    return;
  }
  const numbers = environment.variables.filter((name) => /^[0-9]/.test(name));
  for (const name of numbers) {
    report.add(
      "Warning",
      "",
      `\${${name}} is taken for an environment variable, as Promtail does with -config.expand-env; for a group of a regular expression write $\${${name}}`,
    );
  }
  const names = environment.variables.filter((name) => !/^[0-9]/.test(name));
  if (names.length > 0)
    report.add("Info", "", `the output reads these variables from the agent's environment: ${names.join(", ")}`);
}

function tellOfPositions(positions: Section): void {
  const period = positions.duration("sync_period");
  if (period !== undefined && period.fixed !== 10_000) {
    positions.add("Info", "sync_period", "positions are saved within a second after lines were delivered");
  }
  positions.tell(
    "read_only",
    "Info",
    "the agent always saves positions; invar validate and invar pipe try things out without it",
  );
  if (positions.flag("ignore_invalid_yaml")?.fixed === true) {
    positions.add(
      "Info",
      "ignore_invalid_yaml",
      "a positions file that cannot be read is told in the log, and not taken over",
    );
  }
  positions.rest();
}

class PromtailConverter {
  readonly #root: Section;
  readonly #report: Report;
  readonly #out = new Body();
  readonly #names = new Names();
  readonly #readers: Reader[] = [];

  constructor(root: Section, report: Report) {
    this.#root = root;
    this.#report = report;
  }

  convert(): Conversion {
    const root = this.#root;
    convertServer(root.section("server"), this.#out);
    const limits = root.section("limits_config");
    const writers = this.#clients(limits?.number("max_streams"));
    const limiter = limits === undefined ? undefined : this.#limits(limits, writers);
    this.#jobs(limiter === undefined ? writers.map((each) => each.receiver) : ["loki.process.limits.receiver"]);
    if (limiter !== undefined) this.#out.attach("loki.process", limiter, "limits");
    for (const { label, body } of writers) this.#out.attach("loki.write", body, label);
    this.#others();
    root.rest();
    limits?.rest();
    return { text: this.#out.print(), readers: this.#readers };
  }

  #clients(
    maxStreams: { readonly expression: string; readonly fixed: number | undefined } | undefined,
  ): readonly Writer[] {
    const root = this.#root;
    const wal = root.section("wal");
    const enabled = wal?.flag("enabled");
    if (enabled?.fixed === true) wal!.tell("dir", "Info", "the disk queue is in the folder of --storage.path");
    const context = {
      names: this.#names,
      maxStreams: maxStreams?.fixed === 0 ? undefined : maxStreams?.expression,
      wal: enabled?.fixed === true ? wal : undefined,
    };
    const single = root.section("client");
    // Promtail puts the single client of old configurations behind the others.
    const sections = [...root.sections("clients"), ...(single === undefined ? [] : [single])];
    const writers = sections.flatMap((section) => convertClient(section, context) ?? []);
    if (enabled?.fixed === true) wal!.rest();
    if (writers.length === 0) {
      this.#report.add(
        "Warning",
        "clients",
        "there is no client with a url, so nothing is sent anywhere; add a loki.write",
      );
    }
    return writers;
  }

  /**
   * What `limits_config` does to all jobs together: one component behind every pipeline, where Promtail does it as well.
   * Alloy's converter limits each job by itself, and before its pipeline.
   */
  #limits(limits: Section, writers: readonly Writer[]): Body | undefined {
    const body = new Body();
    body.comment("The limits of limits_config, which all jobs share.");
    body.attribute("forward_to", listOf(writers.map((each) => each.receiver)));
    const enabled = limits.flag("readline_rate_enabled");
    if (enabled?.fixed === true) {
      const stage = body.block("stage.limit");
      copyFields(limits, stage, [
        field("readline_rate>rate", "number", undefined, "10000"),
        field("readline_burst>burst", "number", undefined, "10000"),
        field("readline_rate_drop>drop", "flag", false, "true"),
      ]);
    } else {
      limits.skip("readline_rate", "readline_burst", "readline_rate_drop");
      if (enabled !== undefined && enabled.fixed === undefined) {
        limits.add(
          "Error",
          "readline_rate_enabled",
          "cannot come from the environment, since a stage is there or not; it is left out",
        );
      }
    }
    const size = limits.size("max_line_size");
    const truncates = limits.flag("max_line_size_truncate")?.fixed === true;
    if (size !== undefined && size.fixed !== 0) {
      if (truncates) body.block("stage.truncate").block("rule").attribute("limit", size.expression);
      else {
        const stage = body.block("stage.drop");
        stage.attribute("longer_than", size.expression);
        stage.attribute("drop_counter_reason", '"line_too_long"');
      }
    }
    if (!body.hasBlocks) return undefined;
    this.#names.take("loki.process", "limits");
    return body;
  }

  #jobs(receivers: readonly string[]): void {
    const root = this.#root;
    const positions = root.section("positions");
    const context = {
      names: this.#names,
      receivers,
      positionsFile: positions?.text("filename") ?? {
        expression: '"/var/log/positions.yaml"',
        fixed: "/var/log/positions.yaml",
      },
      syncPeriod: this.#targetConfig(),
      fileWatch: this.#fileWatch(),
      readers: this.#readers,
    };
    if (positions !== undefined) tellOfPositions(positions);
    const sections = root.sections("scrape_configs");
    if (sections.length === 0) this.#report.add("Warning", "scrape_configs", "there are no jobs, so no logs are read");
    for (const [i, section] of sections.entries()) new Job(section, i, context).convert(this.#out);
    root.tell("scrape_config_files", "Error", "jobs of other files are not read; convert each file by itself");
  }

  #targetConfig(): ReturnType<Section["duration"]> {
    const target = this.#root.section("target_config");
    const period = target?.duration("sync_period");
    if (target?.flag("stdin")?.fixed === true) {
      target.add(
        "Error",
        "stdin",
        "the agent does not read its standard input; pipe lines into invar pipe, or push them to a loki.source.api",
      );
    }
    target?.rest();
    return period;
  }

  #fileWatch(): Section | undefined {
    const global = this.#root.section("global");
    const watch = global?.section("file_watch_config");
    watch?.skip("min_poll_frequency", "max_poll_frequency");
    watch?.rest();
    global?.rest();
    return watch;
  }

  #others(): void {
    const root = this.#root;
    const tracing = root.section("tracing");
    if (tracing?.flag("enabled")?.fixed === true) {
      tracing.add(
        "Info",
        "enabled",
        "Promtail's own traces were set up by JAEGER_… variables; the agent's are by a tracing block",
      );
    }
    tracing?.rest();
    const options = root.section("options");
    options?.tell("stream_lag_labels", "Info", LAG_LABELS);
    options?.rest();
    if (root.names.length > 0) {
      this.#report.add(
        "Info",
        "",
        "metrics about the program itself have other names: promtail_… becomes loki_…; alerts and dashboards have to follow",
      );
    }
  }
}
