import type { Labels } from "#base/labels";
import { publicLabels } from "#kits/tail/targets";
import type { Judgement } from "#pipeline/flow";

const META = "__meta_";
const SHOWN = 4;
/** What people ask for first, by the discovery component that knows it; shown before other labels. */
const LIKELY = [
  "__meta_kubernetes_namespace",
  "__meta_kubernetes_pod_name",
  "__meta_kubernetes_pod_container_name",
  "__meta_docker_container_name",
];

/**
 * Discovery components put what they know into `__meta_*` labels, which no line keeps: rules have to. Without any, lines
 * come with nothing but the file's name, and nobody can tell by them where they are from.
 */
export function judgeKeptLabels(targets: readonly Labels[]): Judgement {
  const unkept = new Set<string>();
  for (const target of targets) {
    if (publicLabels(target).size > 0) return undefined;
    for (const [name] of target) if (name.startsWith(META)) unkept.add(name);
  }
  if (unkept.size === 0) return undefined;
  const names = [...LIKELY.filter((name) => unkept.has(name)), ...[...unkept].filter((name) => !LIKELY.includes(name))];
  const more = names.length > SHOWN ? `, and ${names.length - SHOWN} more` : "";
  const cause =
    `lines get no label but filename: no rule keeps any __meta_ label of the targets (${names.slice(0, SHOWN).join(", ")}${more}). ` +
    `Add rules to discovery.relabel before this component, such as rule { source_labels = ["${names[0]}"], ` +
    `target_label = "${names[0]!.replace(/^__meta_[a-z]+_/, "")}" }`;
  return { state: "degraded", cause };
}
