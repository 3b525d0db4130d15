import { counter } from "#base/metrics";
import { exporterExports, runExporter } from "#kits/exporter/exporter";
import { Problems } from "#kits/exporter/problems";
import { mysqlInstance, parseMysqlDsn } from "#kits/mysql-dsn";
import { defineComponent } from "#pipeline/component";
import { mysqlArguments } from "./arguments.ts";
import { selectCollectors } from "./collectors.ts";
import { MysqlMetrics } from "./mysql-metrics.ts";

/** As Alloy's exporter, for those who keep it out of configurations. */
const VARIABLE = "MYSQLD_EXPORTER_DATA_SOURCE_NAME";

export default defineComponent({
  name: "prometheus.exporter.mysql",
  stability: "generally-available",
  summary: "Exposes metrics of a MySQL or MariaDB server, as mysqld_exporter does, as a target.",
  example: 'prometheus.exporter.mysql "shop" {\n\tdata_source_name = "exporter@unix(/run/mysqld/mysqld.sock)/"\n}',
  args: mysqlArguments,
  exports: exporterExports,
  metrics: {
    failures: counter("prometheus_exporter_mysql_failures_total", "Collectors of scrapes that failed.", ["collector"]),
  },

  start(ctx, args) {
    const written = args.data_source_name.reveal();
    const text = written || (process.env[VARIABLE] ?? "");
    if (text === "")
      throw new Error(`no server is named: set data_source_name, or the environment variable ${VARIABLE}`);
    const mysql = new MysqlMetrics({
      args,
      dsn: parseMysqlDsn(text),
      collectors: selectCollectors(args, ctx.log),
      clock: ctx.clock,
      version: ctx.services.version,
      problems: new Problems(ctx.log, "collector"),
      failures: ctx.metrics.failures,
    });
    ctx.rule("connection", () => mysql.judgeConnection());
    ctx.rule("collectors", () => mysql.judgeCollectors());
    // Alloy labels what the argument says, also where the variable is what counts.
    const instance = mysqlInstance(parseMysqlDsn(written));
    return runExporter(ctx, { instance, collect: (signal) => mysql.collect(signal) });
  },
});
