import { systemClock } from "#base/clock";
import { createLogger } from "#base/log";
import { standardScope } from "#lang/stdlib";
import type { ComponentDefinition } from "#pipeline/component";
import { testServices } from "#pipeline/testing";
import { Controller, type ControllerOptions } from "./controller.ts";

/** A graph of test components that logs nothing. `missing` are components that this agent does not have yet, `removed` those of the past. */
export function testController(
  definitions: readonly ComponentDefinition[],
  options: Partial<ControllerOptions> & {
    readonly missing?: readonly string[];
    readonly removed?: readonly string[];
  } = {},
): Controller {
  const { missing = [], removed = [], ...others } = options;
  return new Controller({
    clock: systemClock,
    log: createLogger({ enabled: () => false, write: () => {} }),
    services: testServices({ minimumStability: "experimental" }),
    registry: {
      // A test may add some later.
      get names() {
        return definitions.map((each) => each.name);
      },
      missing: new Set(missing),
      removed: new Map(removed.map((name) => [name, { why: "it was removed", hint: "use another one" }])),
      load: async (name) => definitions.find((each) => each.name === name)!,
    },
    blocks: new Map(),
    storagePath: "/nonexistent",
    communityComponents: false,
    standardScope: standardScope({
      environment: () => undefined,
      version: "v0",
      hostname: "host",
      os: "linux",
      arch: "amd64",
    }),
    ...others,
  });
}
