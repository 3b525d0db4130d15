import { gauge } from "#kits/exporter/page";
import { type Collector, pairs } from "./collector.ts";
import { ROCKSDB_HELP } from "./rocksdb-help.ts";
import { metricName, parseStatusValue } from "./status-value.ts";

const versionInfo = gauge(
  "mysql_version_info",
  "MySQL version and distribution.",
  ...["innodb_version", "version", "version_comment"],
);
const galeraVariables = gauge("mysql_galera_variables_info", "PXC/Galera variables information.", "wsrep_cluster_name");
const galeraCache = gauge("mysql_galera_gcache_size_bytes", "PXC/Galera gcache size.");
const isolation = gauge("mysql_transaction_isolation", "MySQL transaction isolation.", "level");

/** mysqld_exporter's `collector/global_variables.go` */
export const globalVariables: Collector = {
  name: "global_variables",
  isDefault: true,
  since: 5.1,
  async collect({ page, query }) {
    const texts = new Map<string, string>();
    for (const [name, text] of pairs(await query("SHOW GLOBAL VARIABLES"))) {
      const key = metricName(name);
      const value = parseStatusValue(text);
      if (value === undefined) {
        texts.set(key, text);
        continue;
      }
      const help = ROCKSDB_HELP.get(key) ?? "Generic gauge metric from SHOW GLOBAL VARIABLES.";
      page.add(gauge(`mysql_global_variables_${key}`, help), value);
    }
    const text = (name: string) => texts.get(name) ?? "";
    page.add(versionInfo, 1, text("innodb_version"), text("version"), text("version_comment"));
    if (text("wsrep_cluster_name") !== "") page.add(galeraVariables, 1, text("wsrep_cluster_name"));
    if (text("wsrep_provider_options") !== "") page.add(galeraCache, cacheSize(text("wsrep_provider_options")));
    const level = text("transaction_isolation") || text("tx_isolation");
    if (level !== "") page.add(isolation, 1, level);
  },
};

/** Bytes of `gcache.size = 128M;`; 0 if it is not there. */
function cacheSize(options: string): number {
  const [, digits, unit] = /gcache\.size = (\d+)([MG]?);/.exec(options) ?? [];
  return digits === undefined ? 0 : Number(digits) * ({ M: 1024 ** 2, G: 1024 ** 3 }[unit!] ?? 1);
}
