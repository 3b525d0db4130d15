import { errorText } from "#base/log";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { StorageHandler, storageExports } from "#kits/otelcol/storage";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const NO_COMPACTION = "a queue is a row of files, each of which is deleted once all of it has been sent";
const RETRY_MS = 10_000;

const compactionSchema = s
  .object({
    on_start: s.bool().default(false).doc("Compact at each start.").withoutEffect(NO_COMPACTION),
    on_rebound: s.bool().default(false).doc("Compact after much was sent.").withoutEffect(NO_COMPACTION),
    directory: s.string().default("").doc("Where temporary files of compaction are.").withoutEffect(NO_COMPACTION),
    rebound_needed_threshold_mib: s
      .int()
      .default(100)
      .doc("Size from which `on_rebound` counts (MiB).")
      .withoutEffect(NO_COMPACTION),
    rebound_trigger_threshold_mib: s
      .int()
      .default(10)
      .doc("Size below which `on_rebound` begins (MiB).")
      .withoutEffect(NO_COMPACTION),
    max_transaction_size: s
      .int(0)
      .default(65_536)
      .doc("Most entries of one step of compaction.")
      .withoutEffect(NO_COMPACTION),
    check_interval: s.duration().default("5s").doc("Time between looks at the size.").withoutEffect(NO_COMPACTION),
    cleanup_on_start: s
      .bool()
      .default(false)
      .doc("Remove temporary files of compaction at the start.")
      .withoutEffect("there are no temporary files"),
  })
  .rule("check_interval", (a) => !a.on_rebound || a.check_interval > 0, "must be positive with `on_rebound`");

const args = s
  .object({
    directory: s
      .string()
      .default("")
      .doc("Where queues are kept; without it, a folder of the component's own under `--storage.path`."),
    timeout: s
      .duration()
      .default("1s")
      .doc("How long the folder of a queue may be in use by another process before that is reported."),
    fsync: s
      .bool()
      .default(false)
      .doc("Force each write to the disk before data is accepted, so that a power loss takes nothing."),
    create_directory: s.bool().default(true).doc("Make the directory if it is not there."),
    directory_permissions: s.string().default("0750").doc("Permissions of a directory that is made, in octal."),
    compaction: s.block(compactionSchema).presentByDefault().doc("Compaction of Alloy's database files."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule(
    "directory_permissions",
    (a) => !a.create_directory || /^[0-7]+$/.test(a.directory_permissions),
    'must be an octal number, such as "0750"',
  )
  .rule(
    "directory_permissions",
    (a) => !/^[0-7]+$/.test(a.directory_permissions) || Number.parseInt(a.directory_permissions, 8) <= 0o777,
    "has bits that are no permissions: it must be at most 0777",
  );

export default defineComponent({
  name: "otelcol.storage.file",
  stability: "public-preview",
  summary: "Keeps the sending queues of otelcol exporters on disk.",
  example: `otelcol.storage.file "default" {
  directory = "/var/lib/alloy/queues"
}`,
  args,
  exports: storageExports,

  start(ctx, given) {
    const handler = new StorageHandler(ctx.id, {
      directory: given.directory === "" ? ctx.dataPath : given.directory,
      timeoutMs: given.timeout,
      fsync: given.fsync,
      permissions: given.create_directory ? Number.parseInt(given.directory_permissions, 8) : undefined,
    });
    ctx.export({ handler });
    ctx.run(async (signal) => {
      for (let problem: string | undefined; ; ) {
        try {
          await handler.prepare();
          ctx.health(undefined);
          return;
        } catch (error) {
          // Exporters try by themselves; this says it where the mistake is.
          if (problem !== errorText(error)) ctx.log.error("the storage cannot be used", { error });
          ctx.health((problem = errorText(error)));
        }
        await ctx.clock.sleep(RETRY_MS, signal).catch(() => {});
        if (signal.aborted) return;
      }
    });
  },
});
