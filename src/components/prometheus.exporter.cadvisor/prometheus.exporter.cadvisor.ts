import { existsSync } from "node:fs";
import { uptime } from "node:os";
import { findCgroupMounts } from "#kits/cgroup-mounts";
import { exporterExports, hostInstance, runExporter } from "#kits/exporter/exporter";
import { MountUsages } from "#kits/mounts";
import { readIfThere } from "#kits/proc-files";
import type { ComponentContext } from "#pipeline/component";
import { defineComponent } from "#pipeline/component";
import { type CadvisorArguments, cadvisorArguments, isExpected, kindsOf, socketPath } from "./arguments.ts";
import { Cadvisor } from "./cadvisor.ts";
import { CgroupTree } from "./cgroup-tree.ts";
import { CgroupV1, controllersFor } from "./cgroup-v1.ts";
import { CgroupV2 } from "./cgroup-v2.ts";
import { ContainerdRuntime } from "./containerd-runtime.ts";
import { Containers } from "./containers.ts";
import { UsageQueue } from "./directory-usage.ts";
import { DockerRuntime } from "./docker-runtime.ts";
import { FileSystems } from "./file-systems.ts";
import { hugePageSizes } from "./machine.ts";
import type { Runtime } from "./runtime.ts";

/** Where the host's root is in a container that was started as cAdvisor's documentation says. */
const HOST_ROOT = "/rootfs";
const MOUNT_TIMEOUT_MS = 2_000;
const ENGINE_TIMEOUT_MS = 2_000;

export default defineComponent({
  name: "prometheus.exporter.cadvisor",
  stability: "generally-available",
  summary: "Exposes metrics of containers and control groups, as cAdvisor does, as a target.",
  example: 'prometheus.exporter.cadvisor "default" {\n  docker_only = true\n}',
  args: cadvisorArguments,
  exports: exporterExports,

  start(ctx, args) {
    const runtimes = makeRuntimes(ctx, args);
    for (const runtime of runtimes) {
      ctx.stack.defer(() => runtime.close());
      ctx.rule(runtime.name, () =>
        runtime.problem === undefined ? undefined : { state: "degraded", cause: runtime.problem },
      );
    }
    // Built with the first scrape: `start` does no input and output.
    let cadvisor: Cadvisor | undefined;
    ctx.rule("control_groups", () => cadvisor?.judge());
    return runExporter(ctx, {
      instance: hostInstance(),
      collect: (signal) => (cadvisor ??= build(ctx, args, runtimes)).collect(signal),
    });
  },
});

function makeRuntimes(ctx: ComponentContext, args: CadvisorArguments): readonly Runtime[] {
  const environmentPrefixes = args.env_metadata_allowlist;
  const userAgent = `Invar/${ctx.services.version}`;
  const { docker_tls_ca: ca, docker_tls_cert: cert, docker_tls_key: key } = args;
  const expected = isExpected(args);
  const docker = new DockerRuntime({
    host: args.docker_host,
    tls: args.use_docker_tls ? { ca, cert, key } : undefined,
    environmentPrefixes,
    root: hostRoot,
    userAgent,
    isExpected: expected.docker,
  });
  const containerd = new ContainerdRuntime({
    socket: socketPath(args.containerd_host),
    namespace: args.containerd_namespace,
    environmentPrefixes,
    isExpected: expected.containerd,
    userAgent,
    clock: ctx.clock,
    timeoutMs: ENGINE_TIMEOUT_MS,
  });
  return [docker, containerd];
}

function hostRoot(): string {
  return existsSync(`${HOST_ROOT}/proc`) ? HOST_ROOT : "";
}

/** Throws where there are no control groups. */
function build(ctx: ComponentContext, args: CadvisorArguments, runtimes: readonly Runtime[]): Cadvisor {
  const { clock, log } = ctx;
  const kinds = kindsOf(args);
  const paths = { root: hostRoot(), sysfs: "/sys" };
  const mounts = findCgroupMounts(readIfThere("/proc/self/mountinfo") ?? "");
  if (mounts === undefined) {
    throw new Error(
      "no control groups are mounted at /sys/fs/cgroup: in a container, mount the host's /sys there (-v /sys:/sys:ro)",
    );
  }
  const sizes = hugePageSizes(paths.sysfs);
  const isUnified = mounts.version === 2;
  const folders = isUnified ? mounts.folders : controllersFor(mounts.folders, kinds);
  const usages = new MountUsages({ clock, log, timeoutMs: MOUNT_TIMEOUT_MS, path: (mountPoint) => mountPoint });
  return new Cadvisor({
    kinds,
    paths,
    tree: new CgroupTree({
      folders,
      ageFile: isUnified ? "cgroup.events" : "cgroup.clone_children",
      // Uptime is in whole seconds, and the clock may have been set since: minutes are as exact as it gets.
      bootTime: Math.floor((clock.now() - uptime() * 1000) / 60_000) * 60_000,
    }),
    reader: isUnified ? new CgroupV2(kinds, sizes, `${paths.root}/proc/meminfo`) : new CgroupV1(folders, kinds, sizes),
    containers: new Containers({
      runtimes,
      dockerOnly: args.docker_only,
      rawPrefixes: args.raw_cgroup_prefix_allowlist.length === 0 ? [""] : args.raw_cgroup_prefix_allowlist,
      withoutRoot: args.disable_root_cgroup_stats,
      labelFilter: args.store_container_labels ? undefined : new Set(args.allowlisted_container_labels),
      usages: new UsageQueue(ctx.signal, (error) => log.error("could not measure what a container wrote", { error })),
    }),
    fileSystems: new FileSystems("/proc", paths.sysfs, usages),
    clock,
    log,
    version: ctx.services.version,
  });
}
