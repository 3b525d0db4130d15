import { counter } from "#base/metrics";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { type Infer, s } from "#lang/schema";
import type { ComponentContext } from "#pipeline/component";

export const schema = s
  .object({
    format_as_json: s.bool().default(false).doc("Send all fields of an entry as JSON instead of its message."),
    max_age: s
      .duration()
      .default("7h")
      .doc("Entries that are older than this at the start are not read; 0 for no limit."),
    path: s.string().default("").doc("Folder of the journal; the system's journal unless set."),
    relabel_rules: s
      .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
      .optional()
      .doc("Rules of a `loki.relabel`, applied to the labels of entries; `__journal_*` has the entry's fields."),
    matches: s
      .string()
      .default("")
      .doc(
        "`FIELD=VALUE`, several with spaces between them: entries must have one of the values given for each field.",
      ),
    forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
    labels: s.map(s.string()).default({}).doc("Labels for all entries. `job` is always the component's id."),
    legacy_position: s
      .block(
        s.object({
          file: s.string().doc("Positions file of Promtail or Grafana Agent."),
          name: s.string().doc("Name of the job that read the journal there."),
        }),
      )
      .doc("Takes over the position of Promtail or Grafana Agent, once."),
  })
  .rule(
    "matches",
    (args) => matchesOf(args.matches).every((each) => /^(?!__)[A-Z0-9_]{1,64}=/.test(each)),
    (args) => {
      const wrong = matchesOf(args.matches).find((each) => !/^(?!__)[A-Z0-9_]{1,64}=/.test(each));
      return `has "${wrong}", which is not of the form FIELD=VALUE with a journal field's name in capitals; there is no "+" for either-or`;
    },
  );

export function matchesOf(text: string): readonly string[] {
  return text.split(/\s+/).filter((each) => each !== "");
}

export type Arguments = Infer<typeof schema>;

export const metrics = {
  errors: counter(
    "loki_source_journal_target_parsing_errors_total",
    "Total number of parsing errors while reading journal messages",
    ["error"],
  ),
  lines: counter("loki_source_journal_target_lines_total", "Total number of successful journal lines read"),
};

export type Context = ComponentContext<Record<never, never>, typeof metrics>;
