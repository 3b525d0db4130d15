import type { ComponentDefinition } from "#pipeline/component";
import type { ComponentRegistry } from "#runtime/registry";
import { ALLOY_COMPONENTS, COMPONENTS } from "./registry.gen.ts";

/** Components of earlier versions of Alloy, from its release notes. */
const REMOVED: readonly (readonly [name: string, why: string, hint: string])[] = [
  [
    "prometheus.write.queue",
    "Alloy removed this experimental component after version 1.14, to have one queue on disk for metrics in place of two",
    "use prometheus.remote_write: its queue is on disk too, and goes on after a restart where it was; `endpoint` blocks have the same `url` and authentication, `ttl` is `max_keepalive_time` of its `wal` block",
  ],
  [
    "otelcol.exporter.logging",
    "Alloy removed it in favor of otelcol.exporter.debug",
    "use otelcol.exporter.debug, which has the same arguments",
  ],
];

/** All components; each module is loaded when a configuration first names it. */
export const registry: ComponentRegistry = {
  names: [...COMPONENTS.keys()],
  missing: new Set(ALLOY_COMPONENTS.filter((name) => !COMPONENTS.has(name))),
  removed: new Map(REMOVED.map(([name, why, hint]) => [name, { why, hint }])),
  async load(name) {
    const load = COMPONENTS.get(name);
    if (load === undefined) throw new Error(`there is no component ${name}`);
    return (await load()).default as ComponentDefinition;
  },
};
