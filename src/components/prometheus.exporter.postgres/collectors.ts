import type { CollectorDefinition } from "./collector.ts";
import { activityCollectors } from "./collectors-activity.ts";
import { databaseCollectors } from "./collectors-database.ts";
import { replicationCollectors } from "./collectors-replication.ts";
import { serverCollectors } from "./collectors-server.ts";
import { statementsCollector } from "./collectors-statements.ts";
import { tableCollectors } from "./collectors-tables.ts";

/** All collectors, by name. */
export const COLLECTORS: ReadonlyMap<string, CollectorDefinition> = new Map(
  [
    ...databaseCollectors,
    ...tableCollectors,
    ...activityCollectors,
    ...replicationCollectors,
    ...serverCollectors,
    statementsCollector,
  ]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((each) => [each.name, each] as const),
);

/** Those that are asked for, or the default ones. */
export function selectCollectors(enabled: readonly string[]): CollectorDefinition[] {
  return [...COLLECTORS.values()].filter(({ name, byDefault }) =>
    enabled.length > 0 ? enabled.includes(name) : byDefault,
  );
}
