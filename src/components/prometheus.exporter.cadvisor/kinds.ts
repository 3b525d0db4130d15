/** The groups of metrics that cAdvisor switches on and off: container/factory.go. */
export const KINDS = [
  "cpu",
  "sched",
  "percpu",
  "memory",
  "memory_numa",
  "cpuLoad",
  "diskIO",
  "disk",
  "network",
  "tcp",
  "advtcp",
  "udp",
  "app",
  "process",
  "hugetlb",
  "perf_event",
  "referenced_memory",
  "cpu_topology",
  "resctrl",
  "cpuset",
  "oom_event",
  "pressure",
] as const;
export type Kind = (typeof KINDS)[number];
export type Kinds = ReadonlySet<Kind>;

/** Off when nothing is said, as in Alloy's internal/static/integrations/cadvisor/cadvisor.go. */
const OFF: readonly Kind[] = [
  "memory_numa",
  "tcp",
  "udp",
  "advtcp",
  "sched",
  "process",
  "hugetlb",
  "referenced_memory",
  "cpu_topology",
  "resctrl",
  "cpuset",
];

/** Kinds that this agent has no figures for, and why. Alloy's builds have none for most of them either. */
export const WITHOUT_FIGURES: ReadonlyMap<Kind, string> = new Map<Kind, string>([
  ["perf_event", "counting hardware events needs a system call that this agent cannot make"],
  ["resctrl", "groups of the resctrl file system are not read"],
  ["app", "metrics of applications in containers are not collected; scrape them with prometheus.scrape"],
]);

/**
 * What is reported: `enabled` if it names anything, or else all but `disabled`, which takes the place of the kinds that
 * are off when nothing is said.
 */
export function selectKinds(enabled: readonly Kind[], disabled: readonly Kind[] | undefined): Kinds {
  if (enabled.length > 0) return new Set(enabled);
  const off = new Set(disabled ?? OFF);
  return new Set(KINDS.filter((kind) => !off.has(kind)));
}
