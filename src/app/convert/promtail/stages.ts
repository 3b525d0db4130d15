import { quoteString } from "#lang/literal";
import { nearest } from "#lang/suggest";
import { copyFields, type FieldRule, field, texts } from "../fields.ts";
import { Body, objectOf } from "../output.ts";
import { placeOf, type Section, Section as Settings, textMapExpression } from "../settings.ts";
import type { YamlNode } from "../yaml-tree.ts";
import { metricsStage } from "./metrics-stage.ts";

/** Writes one stage's block. The section is that of the stage's settings, empty for `cri:`. */
type StageConverter = (section: Section, body: Body) => void;

function plain(name: string, rules: readonly FieldRule[]): StageConverter {
  return (section, body) => {
    copyFields(section, body.block(name), rules);
    section.rest();
  };
}

/** A stage whose settings are names and values: `values`, with names as they are. */
function values(name: string, valueless: (key: string) => string): StageConverter {
  return (section, body) => {
    const map = section.allTexts();
    const entries = [...map].map(([key, text]): [string, string] => [
      key,
      text.fixed === "" ? valueless(key) : text.expression,
    ]);
    body.block(name).attribute("values", objectOf(entries));
  };
}

function expressions(name: string, setting: string, rules: readonly FieldRule[]): StageConverter {
  return (section, body) => {
    const block = body.block(name);
    const map = section.textMap(setting);
    block.attribute(setting, map === undefined ? "{}" : textMapExpression(map));
    copyFields(section, block, rules);
    section.rest();
  };
}

function drop(section: Section, body: Body): void {
  const block = body.block("stage.drop");
  const source = section.texts("source", true);
  const listed = source?.fixed;
  // Several sources are one text in the component, joined as it splits them again.
  if (listed !== undefined && listed.length > 0) block.attribute("source", quoteString(listed.join(",")));
  else if (source !== undefined && listed === undefined)
    block.attribute("source", `string.join(${source.expression}, ",")`);
  copyFields(section, block, [
    field("drop_counter_reason", "text", "drop_stage"),
    ...texts("value"),
    field("separator", "text", ";"),
    ...texts("expression"),
    field("older_than", "duration", 0),
    field("longer_than", "size"),
  ]);
  section.rest();
}

function match(section: Section, body: Body): void {
  const block = body.block("stage.match");
  copyFields(section, block, [
    field("selector", "text"),
    field("action", "text", "keep"),
    ...texts("pipeline_name"),
    field("drop_counter_reason", "text", "match_stage"),
  ]);
  convertStages(section.items("stages"), `${section.path}.stages`, section, block);
  section.rest();
}

function template(section: Section, body: Body): void {
  const block = body.block("stage.template");
  copyFields(section, block, [field("source", "text"), field("template", "text")]);
  section.rest();
}

const STRUCTURED_METADATA = values("stage.structured_metadata", () => '""');

const STAGES: ReadonlyMap<string, StageConverter> = new Map<string, StageConverter>([
  ["docker", plain("stage.docker", [])],
  [
    "cri",
    plain("stage.cri", [
      field("max_partial_lines", "number", 100),
      field("max_partial_line_size", "bytes", 0),
      field("max_partial_line_size_truncate", "flag", false),
    ]),
  ],
  [
    "regex",
    plain("stage.regex", [field("expression", "text"), ...texts("source"), field("labels_from_groups", "flag", false)]),
  ],
  ["json", expressions("stage.json", "expressions", [...texts("source"), field("drop_malformed", "flag", false)])],
  ["logfmt", expressions("stage.logfmt", "mapping", texts("source"))],
  ["replace", plain("stage.replace", [field("expression", "text"), ...texts("source", "replace")])],
  ["template", template],
  ["match", match],
  [
    "timestamp",
    plain("stage.timestamp", [
      field("source", "text"),
      field("format", "text"),
      field("fallback_formats", "texts"),
      ...texts("location"),
      field("action_on_failure", "text", "fudge"),
    ]),
  ],
  ["output", plain("stage.output", [field("source", "text")])],
  ["labels", values("stage.labels", () => '""')],
  ["static_labels", values("stage.static_labels", () => '""')],
  ["structured_metadata", STRUCTURED_METADATA],
  ["non_indexed_labels", STRUCTURED_METADATA],
  ["metrics", metricsStage],
  ["tenant", plain("stage.tenant", texts("label", "source", "value"))],
  ["drop", drop],
  [
    "sampling",
    plain("stage.sampling", [field("rate", "number"), field("drop_counter_reason", "text", "sampling_stage")]),
  ],
  [
    "limit",
    plain("stage.limit", [
      field("rate", "number"),
      field("burst", "number"),
      field("drop", "flag", false),
      ...texts("by_label_name"),
      field("max_distinct_labels", "number", 10_000),
    ]),
  ],
  [
    "multiline",
    plain("stage.multiline", [
      field("firstline", "text"),
      field("max_lines", "number", 128),
      field("max_wait_time", "duration", 3_000),
    ]),
  ],
  ["pack", plain("stage.pack", [field("labels", "texts", undefined, "[]"), field("ingest_timestamp", "flag", true)])],
  ["decolorize", plain("stage.decolorize", [])],
  [
    "eventlogmessage",
    plain("stage.eventlogmessage", [
      field("source", "text", "message"),
      field("drop_invalid_labels", "flag", false),
      field("overwrite_existing", "flag", false),
    ]),
  ],
  ["geoip", plain("stage.geoip", [field("db", "text"), field("source", "text"), ...texts("db_type")])],
]);

/** Stages whose settings are a list of names. */
const LISTS: ReadonlyMap<string, string> = new Map([
  ["labelallow", "stage.label_keep"],
  ["labeldrop", "stage.label_drop"],
]);

/** Writes the blocks of `pipeline_stages`. `path` is where they stand; `parent` has the report. */
export function convertStages(items: readonly YamlNode[], path: string, parent: Section, body: Body): void {
  for (const [i, item] of items.entries()) {
    const at = `${path}[${i}]`;
    if (
      item.kind === "scalar" &&
      item.text.fixed !== undefined &&
      ["cri", "docker", "decolorize"].includes(item.text.fixed)
    ) {
      const name = item.text.fixed;
      parent.report.add(
        "Warning",
        placeOf(at, item.line),
        `a stage is a map: Promtail takes "- ${name}: {}" only; it is converted as that`,
      );
      body.block(`stage.${name}`);
      continue;
    }
    if (item.kind !== "map") {
      parent.report.add(
        "Error",
        placeOf(at, item.line),
        "a stage must be a map with the stage's name as its key; it is left out",
      );
      continue;
    }
    const stage = new Settings(item, at, parent.report);
    if (item.fields.size > 1) {
      parent.report.add(
        "Warning",
        stage.place,
        `Promtail refuses several stages in one element (${stage.names.join(", ")}); they are converted one after the other`,
      );
    }
    for (const name of stage.names) convertStage(name, stage, body);
  }
}

function convertStage(name: string, stage: Section, body: Body): void {
  const list = LISTS.get(name);
  if (list !== undefined) {
    const names = stage.texts(name, true);
    if (names !== undefined) body.block(list).attribute("values", names.expression);
    return;
  }
  const convert = STAGES.get(name);
  if (convert === undefined) {
    const similar = nearest(name, [...STAGES.keys(), ...LISTS.keys()]);
    const hint = similar === undefined ? "" : `; is it meant to be ${similar}?`;
    stage.add("Error", name, `there is no such stage, and it is left out${hint}`);
    return;
  }
  const section = stage.sectionOrEmpty(name);
  if (section === undefined) return;
  const errors = section.report.count("Error");
  const made = new Body();
  convert(section, made);
  // A stage that lacks a setting does something else: a drop without its condition drops everything.
  if (section.report.count("Error") > errors && name !== "match" && name !== "metrics") {
    section.report.add("Error", section.place, "this stage is left out, since it cannot be converted whole");
    body.comment(`${section.place} is left out, since it cannot be converted whole.`);
  } else body.append(made);
}

/** `entry_parser` of Promtail before 1.0, which became the first stage of the pipeline. */
export function entryParser(section: Section, body: Body): void {
  const parser = section.text("entry_parser")?.fixed;
  if (parser === undefined) return;
  if (parser === "docker" || parser === "cri") {
    body.block(`stage.${parser}`);
    section.add("Info", "entry_parser", `is converted to stage.${parser}, as pipeline_stages have it today`);
  } else if (parser !== "raw") {
    section.add("Error", "entry_parser", "must be docker, cri or raw; it is left out");
  }
}
