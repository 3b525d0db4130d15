import type { ComponentDefinition } from "#pipeline/component";
import type { ComponentRegistry } from "#runtime/registry";
import { ALLOY_COMPONENTS, COMPONENTS } from "./registry.gen.ts";

/** All components; each module is loaded when a configuration first names it. */
export const registry: ComponentRegistry = {
  names: [...COMPONENTS.keys()],
  missing: new Set(ALLOY_COMPONENTS.filter((name) => !COMPONENTS.has(name))),
  async load(name) {
    const load = COMPONENTS.get(name);
    if (load === undefined) throw new Error(`there is no component ${name}`);
    return (await load()).default as ComponentDefinition;
  },
};
