import type { Logger } from "#base/log";
import { nearest } from "#lang/suggest";
import type { MysqlArguments } from "./arguments.ts";
import type { Collector } from "./collector.ts";
import { globalStatus } from "./global-status.ts";
import { globalVariables } from "./global-variables.ts";
import { INFO_SCHEMA_TABLES } from "./info-schema-tables.ts";
import { engineInnodbStatus, engineTokudbStatus, innodbMetrics, innodbTablespaces } from "./innodb.ts";
import { PERF_SCHEMA_TABLES } from "./perf-schema-tables.ts";
import {
  applierStatus,
  binlogSizes,
  groupMemberStatistics,
  groupMembers,
  slaveHosts,
  slaveStatus,
} from "./replication.ts";
import { heartbeat, processlist, queryResponseTime, tables, users } from "./server-collectors.ts";
import { statements } from "./statements.ts";
import { tableCollector } from "./table-collector.ts";
import { USER_STATISTICS } from "./user-statistics.ts";

/** All that Alloy has, by name: `GetScrapers` of its `mysqld-exporter.go`. */
export const COLLECTORS: readonly Collector[] = [
  ...[globalStatus, globalVariables, slaveStatus, queryResponseTime],
  ...[...INFO_SCHEMA_TABLES, ...PERF_SCHEMA_TABLES].map(tableCollector),
  ...USER_STATISTICS,
  ...[binlogSizes, engineInnodbStatus, engineTokudbStatus, heartbeat, innodbMetrics, innodbTablespaces, processlist],
  ...[slaveHosts, statements, tables, users, applierStatus, groupMembers, groupMemberStatistics],
];

/** The collectors that run: those by default or of `set_collectors`, without the disabled ones, with the enabled ones. */
export function selectCollectors(
  args: Pick<MysqlArguments, "set_collectors" | "enable_collectors" | "disable_collectors">,
  log: Logger,
): readonly Collector[] {
  const { set_collectors, enable_collectors, disable_collectors } = args;
  const known = new Set(COLLECTORS.map(({ name }) => name));
  for (const collector of [...set_collectors, ...enable_collectors, ...disable_collectors]) {
    // Alloy ignores them too, so that one configuration serves several versions.
    if (known.has(collector)) continue;
    const meant = nearest(collector, known);
    const hint = meant === undefined ? {} : { hint: `did you mean ${JSON.stringify(meant)}?` };
    log.warn("there is no such collector; the name is ignored", { collector, ...hint });
  }
  return COLLECTORS.filter(({ name, isDefault = false }) => {
    if (enable_collectors.includes(name)) return true;
    if (disable_collectors.includes(name)) return false;
    return set_collectors.length > 0 ? set_collectors.includes(name) : isDefault;
  });
}
