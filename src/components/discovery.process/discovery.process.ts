import type { Labels } from "#base/labels";
import { DiscoveryPoller, discoveryExports, discoveryMetrics, type Refresh } from "#kits/discovery/poller";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { joinContainers } from "./join.ts";
import { Processes, type ProcessList } from "./processes.ts";

const discoverSchema = s.object({
  exe: s.bool().default(true).doc("The program's file, as `__meta_process_exe`; leaves out the kernel's threads."),
  cwd: s.bool().default(true).doc("The working directory, as `__meta_process_cwd`."),
  commandline: s.bool().default(true).doc("The command line, as `__meta_process_commandline`."),
  uid: s.bool().default(false).doc("The user's number, as `__meta_process_uid`."),
  username: s.bool().default(false).doc("The user's name in /etc/passwd, as `__meta_process_username`."),
  container_id: s.bool().default(true).doc("The id of the container that the process is in, as `__container_id__`."),
  cgroup_path: s.bool().default(false).doc("The control groups, as `__meta_process_cgroup_path`."),
});

const schema = s
  .object({
    join: s
      .targets()
      .default([])
      .doc("Targets of containers, whose labels processes get that are in them; all of them are exported too."),
    refresh_interval: s.duration().default("1m").doc("How often to look for processes."),
    discover_config: s.block(discoverSchema).presentByDefault().doc("What to read of each process."),
  })
  .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0");

/** `proc` has the processes, `passwd` the users: others than the usual for tests. */
export function discoveryProcess(proc: string, passwd: string) {
  return defineComponent({
    name: "discovery.process",
    stability: "generally-available",
    summary: "Finds the processes of this machine, and their containers among other targets.",
    example: `discovery.process "example" { }`,
    args: schema,
    exports: discoveryExports,
    metrics: discoveryMetrics,

    start(ctx, args) {
      const processes = new Processes(proc, passwd);
      let latest: { readonly list: ProcessList; readonly at: number; readonly config: string } | undefined;
      ctx.rule("processes_unreadable", () => {
        if (latest === undefined || latest.list.denied === 0) return undefined;
        const { denied, count, deniedPath } = latest.list;
        const cause =
          `${denied} of ${count} processes are left out, since they cannot be read (such as ${deniedPath}): ` +
          "run the agent as root, or with the capability CAP_SYS_PTRACE; without `exe` and `cwd` less is needed";
        return { state: "degraded", cause };
      });
      const poller = new DiscoveryPoller(ctx, "process", args.refresh_interval, refreshOf(args));
      return { update: (next) => poller.update(next.refresh_interval, refreshOf(next)) };

      function refreshOf({ join, refresh_interval, discover_config }: Infer<typeof schema>): Refresh {
        const config = JSON.stringify(discover_config);
        return async (signal): Promise<readonly Labels[]> => {
          const now = ctx.clock.monotonic();
          // Targets to join with come and go more often than there is reason to look for processes.
          const isDue = latest === undefined || latest.config !== config || now - latest.at >= refresh_interval;
          if (isDue) latest = { list: await processes.list(discover_config, signal), at: now, config };
          return joinContainers(latest!.list.targets, join);
        };
      }
    },
  });
}

export default discoveryProcess("/proc", "/etc/passwd");
