import type { Labels } from "#base/labels";

/** What a target is called in messages: few labels, since meta labels are many and may hold what is nobody's business. */
const TELLING = [
  "__address__",
  "__meta_kubernetes_namespace",
  "__meta_kubernetes_pod_name",
  "__meta_kubernetes_pod_container_name",
  "__meta_docker_container_name",
];
const MAX_SHOWN = 5;
const MAX_VALUE = 60;

/** A target's labels, cut to those that tell it from others: `{job="x", … 23 more labels}`. */
function describeTarget(target: Labels): string {
  const telling = [...target].filter(([name]) => !name.startsWith("__") || TELLING.includes(name));
  const shown = telling.slice(0, MAX_SHOWN).map(([name, value]) => {
    const cut = value.length > MAX_VALUE ? `${value.slice(0, MAX_VALUE)}…` : value;
    return `${name}=${JSON.stringify(cut)}`;
  });
  const more = target.size - shown.length;
  if (more > 0) shown.push(`… ${more} more ${more === 1 ? "label" : "labels"}`);
  return `{${shown.join(", ")}}`;
}

/** Rules that make `__path__` of what discovery components know, by the label that says which component it was. */
const PATH_RULES: readonly (readonly [label: string, rule: string])[] = [
  [
    "__meta_kubernetes_pod_uid",
    'rule { source_labels = ["__meta_kubernetes_pod_uid", "__meta_kubernetes_pod_container_name"], separator = "/", ' +
      'target_label = "__path__", replacement = "/var/log/pods/*$1/*.log" }',
  ],
  [
    "__meta_docker_container_id",
    'rule { source_labels = ["__meta_docker_container_id"], target_label = "__path__", ' +
      'replacement = "/var/lib/docker/containers/$1/$1-json.log" }',
  ],
];

/** Why a target without `__path__` is of no use, and what gives it one. */
export function explainMissingPath(target: Labels): string {
  const problem = `the target ${describeTarget(target)} has no __path__, so there is no file to read`;
  const isDiscovered = [...target].some(([name]) => name.startsWith("__meta_"));
  if (!isDiscovered) return `${problem}: set it to a file or a pattern such as /var/log/*.log`;
  const rule = PATH_RULES.find(([label]) => target.has(label))?.[1];
  return `${problem}: discovery components give none, so make it with a rule of discovery.relabel${
    rule === undefined ? ' with target_label = "__path__"' : `: ${rule}`
  }`;
}
