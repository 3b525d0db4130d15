import { systemClock } from "#base/clock";
import { createLogger, type LogRecord } from "#base/log";
import { MetricRegistry } from "#base/metrics";
import { standardScope } from "#lang/stdlib";
import type { Stability } from "#pipeline/component";
import { SeriesRegistry } from "#pipeline/series";
import { Controller } from "#runtime/controller";
import { withoutUrlSecrets } from "../api/redact.ts";
import type { ParsedCommandLine } from "../command-line.ts";
import { host } from "../host.ts";
import { registry } from "../registry.ts";
import { VERSION } from "../version.ts";

/** A warning of the log as one line: where, of which block, what, with which facts, and what to do. */
function warningText({ message, fields }: LogRecord): string {
  const { at, component_id: id, node = id, hint, component_path: _, ...facts } = Object.fromEntries(fields);
  const place = [at, node].filter((each) => each !== undefined).map((each) => `${each}: `);
  const shown = Object.entries(facts).map(([key, value]) => `${key}=${value}`);
  return `${place.join("")}${message}${shown.length > 0 ? ` (${shown.join(", ")})` : ""}${hint === undefined ? "" : `; ${hint}`}`;
}

/**
 * A controller for commands that look at a configuration without running it: evaluates everything and builds each
 * component, and lets none begin. `line` has the FEATURE_FLAGS; `warn` gets what a load would log as warnings.
 */
export function unstartedController(line: ParsedCommandLine, warn: (message: string) => void): Controller {
  return new Controller({
    clock: systemClock,
    log: createLogger({
      enabled: (level) => level === "warn",
      write: (record) => warn(withoutUrlSecrets(warningText(record))),
    }),
    services: {
      metrics: new MetricRegistry(),
      series: new SeriesRegistry(),
      httpAddress: "127.0.0.1:12345",
      memoryAddress: "alloy.internal:12345",
      minimumStability: line.flags.get("stability.level") as Stability,
      version: VERSION,
      fetchLocal: async () => ({ status: 503, body: "nothing runs here" }),
    },
    registry,
    blocks: new Map(),
    storagePath: "data-alloy",
    standardScope: standardScope(host),
    communityComponents: line.flags.get("feature.community-components.enabled") === true,
    inert: true,
  });
}
