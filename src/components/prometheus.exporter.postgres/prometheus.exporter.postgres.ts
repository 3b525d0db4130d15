import { collectingTime, exporterExports, runExporter } from "#kits/exporter/exporter";
import { Problems } from "#kits/exporter/problems";
import { DataSourceError, type PostgresDataSource, parsePostgresDataSource } from "#kits/postgres/data-source";
import { type Infer, s } from "#lang/schema";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { COLLECTORS, selectCollectors } from "./collectors.ts";
import { DataSource, type DataSourceOptions } from "./data-source.ts";
import { PostgresMetrics } from "./postgres-metrics.ts";

/** Where data source names come from when the configuration has none, separated by commas. */
const VARIABLE = "POSTGRES_EXPORTER_DATA_SOURCE_NAME";

const names = (text: string) => s.list(s.string()).default([]).doc(text);
const flag = (text: string) => s.bool().default(false).doc(text);

/** As `Arguments` of Alloy's `internal/component/prometheus/exporter/postgres/postgres.go`. */
const args = s
  .object({
    data_source_names: s
      .list(s.secret())
      .default([])
      .doc(`Servers and databases to ask; \`$${VARIABLE}\` is used when there are none.`),
    disable_settings_metrics: flag("Leave out `pg_settings_…`."),
    disable_default_metrics: flag("Show only custom queries and settings; needs `custom_queries_config_path`."),
    custom_queries_config_path: s.string().default("").doc("File of custom queries; it is read again when it changes."),
    enabled_collectors: names("Collectors to run instead of the default ones, for the first data source."),
    autodiscovery: s
      .block(
        s.object({
          enabled: flag("Run custom queries in the other databases of each server too."),
          database_allowlist: names("Run them in these databases only."),
          database_denylist: names("Do not run them in these databases; the collector `database` leaves them out too."),
        }),
      )
      .presentByDefault()
      .doc("Databases beside those that are named."),
    stat_statements: s
      .block(
        s.object({
          include_query: flag("Show the text of statements in `pg_stat_statements_query_id`."),
          query_length: s.int(0).default(120).doc("How many characters of the text."),
          limit: s.int(0).default(100).doc("The most statements to show."),
          exclude_databases: names("Databases whose statements are left out."),
          exclude_users: names("Users whose statements are left out."),
        }),
      )
      .doc("Options of the collector `stat_statements`."),
  })
  .rule(
    "custom_queries_config_path",
    (each) => !each.disable_default_metrics || each.custom_queries_config_path !== "",
    "must be set when `disable_default_metrics` is true",
  )
  .rule(
    "enabled_collectors",
    (each) => !each.disable_default_metrics || each.enabled_collectors.length === 0,
    "cannot be set when `disable_default_metrics` is true",
  )
  .rule(
    "enabled_collectors",
    (each) => each.enabled_collectors.every((name) => COLLECTORS.has(name)),
    `names an unknown collector; there are ${[...COLLECTORS.keys()].join(", ")}`,
  );

type Arguments = Infer<typeof args>;

export default defineComponent({
  name: "prometheus.exporter.postgres",
  stability: "generally-available",
  summary: "Exposes metrics of PostgreSQL servers, as postgres_exporter does, as a target.",
  example: `prometheus.exporter.postgres "db" {
  data_source_names = ["postgresql://monitor:secret@localhost:5432/postgres?sslmode=disable"]
}`,
  args,
  exports: exporterExports,

  start(ctx, args) {
    const parsed = dataSources(ctx, args);
    const queries = new Problems(ctx.log, "query");
    const columns = new Problems(ctx.log, "columns of a query");
    const options = dataSourceOptions(ctx, args, queries, columns);
    const metrics = new PostgresMetrics({
      log: ctx.log,
      clock: ctx.clock,
      version: ctx.services.version,
      sources: parsed.map((each) => ("problem" in each ? each : new DataSource(each, options))),
      queries,
      columns,
      showDefaults: !args.disable_default_metrics,
      showSettings: !args.disable_settings_metrics,
      queriesPath: args.custom_queries_config_path,
      dropped: (samples) => ctx.flow.drop("metrics", "duplicate_sample", samples),
    });
    ctx.stack.defer(() => metrics.close());
    for (const [name, judge] of Object.entries(metrics.rules)) ctx.rule(name, judge);
    const [only, ...others] = parsed;
    const instance = others.length === 0 && only !== undefined && "instance" in only ? only.instance : ctx.id;
    return runExporter(ctx, {
      instance,
      async collect(signal, _query, headers) {
        const families = await metrics.collect(signal, collectingTime(headers));
        ctx.flow.judge(); // what this scrape found, and not a second later
        return families;
      },
    });
  },
});

function dataSourceOptions(
  { log, clock }: ComponentContext,
  args: Arguments,
  queries: Problems,
  columns: Problems,
): DataSourceOptions {
  const { enabled, database_allowlist: allowed, database_denylist: denied } = args.autodiscovery;
  const isWanted = (name: string) => !denied.includes(name) && (allowed.length === 0 || allowed.includes(name));
  return {
    log,
    clock,
    queries,
    columns,
    collectors: selectCollectors(args.enabled_collectors),
    collectorOptions: {
      excludedDatabases: denied,
      statements: args.stat_statements ?? {
        include_query: false,
        query_length: 0,
        limit: 0,
        exclude_databases: [],
        exclude_users: [],
      },
    },
    discover: enabled ? isWanted : undefined,
  };
}

/** The data sources in their order. Throws if there is none, or if the first, which collectors need, cannot be read. */
function dataSources(
  ctx: ComponentContext,
  args: Arguments,
): (PostgresDataSource | { readonly name: string; readonly problem: string })[] {
  const given = args.data_source_names.map((each) => each.reveal());
  const texts = given.length > 0 ? given : (process.env[VARIABLE]?.split(",") ?? []);
  if (texts.length === 0) {
    throw new Error(`there is no server to ask: set data_source_names, or $${VARIABLE} in the agent's environment`);
  }
  return texts.map((text, index) => {
    try {
      return parsePostgresDataSource(text, process.env);
    } catch (error) {
      if (!(error instanceof DataSourceError)) throw error;
      const name = `data source name ${index + 1}`;
      if (index === 0) throw new Error(`${name} cannot be used: ${error.message}`, { cause: error });
      ctx.log.error("a data source name cannot be used", { number: index + 1, error: error.message });
      return { name, problem: `it cannot be used: ${error.message}` };
    }
  });
}
