import { quoteString } from "#lang/literal";
import { s } from "#lang/schema";
import { Body, listOf } from "../output.ts";
import type { Section } from "../settings.ts";
import type { BodyRules, Convert, Write } from "./body.ts";
import type { SettingsTree } from "./settings-tree.ts";
import { HTTP_CLIENT_SETTINGS } from "./shared-blocks.ts";
import { mebibytes, readValue } from "./values.ts";

/** `include` and `exclude`: internal/filter/filterconfig of contrib. */
const MATCH: BodyRules = {
  from: { attribute: "attributes", resource: "resources", library: "libraries", log_severity: "log_severity_number" },
  blocks: {
    regexp: { from: { cache_enabled: "cacheenabled", cache_max_num_entries: "cachemaxnumentries" } },
    log_severity: { convert: { min: severityName } },
  },
};

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/** Severities are numbers in the Collector's YAML, and names in Alloy. */
function severityName(section: Section, name: string): ReturnType<Convert> {
  const fixed = section.number(name)?.fixed;
  const level = LEVELS[Math.floor((fixed ?? 0) / 4 - 0.25)];
  if (fixed === undefined || !Number.isInteger(fixed) || fixed < 1 || level === undefined) {
    section.add("Error", name, "must be the number of a severity, from 1 to 24; it is left out");
    return undefined;
  }
  const text = `${level}${fixed % 4 === 1 ? "" : ((fixed - 1) % 4) + 1}`;
  return { expression: quoteString(text), fixed: text };
}

export const ATTRIBUTES: BodyRules = {
  from: { action: "actions" },
  blocks: { include: MATCH, exclude: MATCH, action: { missing: ["default_value"] } },
};

export const SPAN: BodyRules = { blocks: { include: MATCH, exclude: MATCH } };

export const BATCH: BodyRules = { defaults: { send_batch_size: "8192", send_batch_max_size: "0" } };

export const CUMULATIVE_TO_DELTA: BodyRules = { defaults: { max_staleness: '"1h"' } };

export const INTERVAL: BodyRules = { from: { passthrough: "pass_through" } };

/** The Collector takes a fifth of the limit where nothing is given; Alloy wants it given. */
function spikePercentage(section: Section, name: string): ReturnType<Convert> {
  const given = section.number(name);
  const limit = section.number("limit_percentage")?.fixed;
  if (given !== undefined || limit === undefined || section.has("limit_mib")) return given;
  const fixed = Math.max(1, Math.round(limit / 5));
  return { expression: String(fixed), fixed };
}

const GARBAGE = "is about Go's garbage collector, which the agent does not have";

export const MEMORY_LIMITER: BodyRules = {
  from: { limit: "limit_mib", spike_limit: "spike_limit_mib" },
  convert: { limit: mebibytes, spike_limit: mebibytes, spike_limit_percentage: spikePercentage },
  info: {
    min_gc_interval_when_soft_limited: GARBAGE,
    min_gc_interval_when_hard_limited: GARBAGE,
    max_gc_interval_when_soft_limited: GARBAGE,
    max_gc_interval_when_hard_limited: GARBAGE,
  },
};

/** Of policies, wherever one stands: what OTTL does without an error mode. */
const OTTL_CONDITION: BodyRules = { defaults: { error_mode: '"propagate"' } };
const SUB_POLICY: BodyRules = { blocks: { ottl_condition: OTTL_CONDITION } };
const AND: BodyRules = { blocks: { and_sub_policy: SUB_POLICY } };

export const TAIL_SAMPLING: BodyRules = {
  from: { policy: "policies" },
  blocks: {
    policy: {
      blocks: {
        ottl_condition: OTTL_CONDITION,
        and: AND,
        not: { blocks: { not_sub_policy: SUB_POLICY } },
        drop: { blocks: { drop_sub_policy: SUB_POLICY } },
        composite: { blocks: { composite_sub_policy: { blocks: { ottl_condition: OTTL_CONDITION, and: AND } } } },
      },
    },
  },
  missing: ["tail_storage", "sampling_strategy"],
};

const CONTEXT_MATCH = ["include", "exclude", "resource"];

export const FILTER: BodyRules = {
  blocks: {
    metrics: { missing: [...CONTEXT_MATCH, "regexp"] },
    logs: { missing: CONTEXT_MATCH },
    traces: { missing: ["resource"] },
  },
  write: {
    trace_conditions: conditions("trace_conditions"),
    metric_conditions: conditions("metric_conditions"),
    log_conditions: conditions("log_conditions"),
  },
  missing: ["spans", "profiles", "profile_conditions"],
};

const TEXTS = s.list(s.string());

/** A list of conditions, or of groups of them with their context. */
function conditions(setting: string): Write {
  return (tree, out) => {
    const { texts, groups } = textsAndGroups(tree, setting);
    if (texts !== undefined) out.block(setting).attribute("conditions", texts);
    for (const group of groups) {
      const body = out.block(setting);
      body.attribute("context", group.section.text("context")?.expression);
      body.attribute("conditions", readValue(TEXTS, group.section, "conditions")?.expression ?? "[]");
      group.section.tell("error_mode", "Error", "groups of conditions have no mode of their own; it is left out");
    }
  };
}

export const TRANSFORM: BodyRules = {
  write: {
    statements: (tree, out) => {
      const body = new Body();
      for (const signal of ["trace", "metric", "log"]) {
        const { texts } = textsAndGroups(tree, `${signal}_statements`);
        body.attribute(signal, texts);
      }
      if (!body.isEmpty) out.attach("statements", body);
    },
    trace_statements: statements("trace_statements"),
    metric_statements: statements("metric_statements"),
    log_statements: statements("log_statements"),
  },
  missing: ["flatten_data", "profile_statements"],
};

/** Groups without a context, which the Collector infers, are those of `statements`. */
function statements(setting: string): Write {
  return (tree, out) => {
    for (const { section } of textsAndGroups(tree, setting).groups) {
      const body = new Body();
      body.attribute("context", section.text("context")?.expression);
      if (!section.has("context")) {
        section.report.add(
          "Error",
          section.place,
          "a group of statements needs a context in Alloy, which the Collector can do without; write it, or the statements alone",
        );
      }
      for (const name of ["conditions", "statements"])
        body.attribute(name, readValue(TEXTS, section, name)?.expression);
      body.attribute("error_mode", section.text("error_mode")?.expression);
      out.attach(setting, body);
    }
  };
}

/** The plain texts of a list, as one list, and its maps. Maps with nothing but statements are as good as plain ones. */
function textsAndGroups(
  tree: SettingsTree,
  setting: string,
): { readonly texts: string | undefined; readonly groups: readonly SettingsTree[] } {
  const node = tree.section.node(setting);
  if (node?.kind !== "list" || !node.items.some((each) => each.kind === "map")) {
    return { texts: node && readValue(TEXTS, tree.section, setting)?.expression, groups: [] };
  }
  const groups = tree.children(setting);
  if (groups.some(({ section }) => ["context", "conditions", "error_mode"].some((name) => section.has(name)))) {
    return { texts: undefined, groups };
  }
  const lists = groups.map(({ section }) => section.node("statements"));
  const items = lists.flatMap((each) => (each?.kind === "list" ? each.items : []));
  const plain = items.flatMap((each) => (each.kind === "scalar" ? [each.text.expression] : []));
  return items.length > 0 && plain.length === items.length
    ? { texts: listOf(plain), groups: [] }
    : { texts: undefined, groups };
}

/** The detector that has another name in Alloy. */
const KUBERNETES_NODE = { collector: "k8snode", alloy: "kubernetes_node" };

export const RESOURCE_DETECTION: BodyRules = {
  from: { [KUBERNETES_NODE.alloy]: KUBERNETES_NODE.collector },
  convert: {
    detectors: (section, name) => {
      const names = readValue(TEXTS, section, name)?.fixed as readonly string[] | undefined;
      const fixed = names?.map((each) => (each === KUBERNETES_NODE.collector ? KUBERNETES_NODE.alloy : each));
      return fixed && { expression: listOf(fixed.map(quoteString)), fixed };
    },
  },
  missing: ["attributes", "refresh_interval", "k8s_api", "ibmcloud_classic", "ibmcloud_vpc", ...HTTP_CLIENT_SETTINGS],
};
