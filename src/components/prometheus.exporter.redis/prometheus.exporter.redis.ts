import { counter } from "#base/metrics";
import { exporterExports, runExporter } from "#kits/exporter/exporter";
import { WatchedFiles } from "#kits/http/client-files";
import { defineComponent } from "#pipeline/component";
import { parseRedisAddress, type RedisTarget } from "./address.ts";
import { redisArguments } from "./arguments.ts";
import { RedisMetrics } from "./redis-metrics.ts";

export default defineComponent({
  name: "prometheus.exporter.redis",
  stability: "generally-available",
  summary: "Exposes metrics of a Redis or Valkey server, a Sentinel or a Tile38, as redis_exporter does, as a target.",
  example: 'prometheus.exporter.redis "cache" {\n\tredis_addr = "localhost:6379"\n}',
  args: redisArguments,
  exports: exporterExports,
  metrics: {
    failures: counter("prometheus_exporter_redis_failures_total", "Parts of scrapes that failed.", ["part"]),
  },

  start(ctx, args) {
    const { log, clock } = ctx;
    const target = parseRedisAddress(args.redis_addr);
    const files = new WatchedFiles();
    const { version } = ctx.services;
    const redis = new RedisMetrics({ args, target, files, clock, log, version, failures: ctx.metrics.failures });
    ctx.rule("connection", () => redis.judgeConnection());
    ctx.rule("commands", () => redis.judgeCommands());
    const instance = instanceOf(args.redis_addr, target);
    return runExporter(ctx, { instance, collect: (signal) => redis.collect(signal) });
  },
});

/** As Alloy labels it, but for a password in the address, which would go to every backend. */
function instanceOf(address: string, { userInfo }: RedisTarget): string {
  if (userInfo === "") return address;
  const user = userInfo.slice(0, userInfo.indexOf(":") + 1); // a single word is a password
  return address.replace(`${userInfo}@`, `${user}xxxxx@`);
}
