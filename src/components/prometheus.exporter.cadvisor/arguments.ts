import { dockerHostProblem } from "#kits/docker-engine";
import { type Infer, s } from "#lang/schema";
import { KINDS, selectKinds, WITHOUT_FIGURES } from "./kinds.ts";

const DOCKER_HOST = "unix:///var/run/docker.sock";
const CONTAINERD_HOST = "/run/containerd/containerd.sock";

const names = (text: string) => s.list(s.string()).default([""]).doc(text);
const kinds = () => s.list(s.oneOf(KINDS));

/** As Alloy's internal/component/prometheus/exporter/cadvisor/cadvisor.go. */
export const cadvisorArguments = s
  .object({
    store_container_labels: s
      .bool()
      .default(true)
      .doc("Whether all labels of containers become labels of their series, as `container_label_NAME`."),
    allowlisted_container_labels: names(
      "Labels of containers that become labels of series; needs `store_container_labels = false`.",
    ),
    env_metadata_allowlist: names(
      "Beginnings of names of environment variables of containers that become labels, as `container_env_NAME`.",
    ),
    raw_cgroup_prefix_allowlist: names(
      "Beginnings of the paths of control groups that are reported although no container engine knows them.",
    ),
    perf_events_config: s
      .string()
      .default("")
      .doc("File with hardware events to count; **not supported**.")
      .unsupported("counting hardware events needs a system call that this agent cannot make; leave it out"),
    resctrl_interval: s
      .duration()
      .default("0s")
      .doc("Time between two looks at the groups of the resctrl file system; **not supported**.")
      .unsupported("groups of the resctrl file system are not read, nor are they in Alloy's builds; leave it out"),
    disabled_metrics: kinds()
      .optional()
      .doc("Kinds of metrics that are not reported; takes the place of those that are off when nothing is said."),
    enabled_metrics: kinds()
      .default([])
      .doc("The only kinds of metrics that are reported; `disabled_metrics` does not count then."),
    storage_duration: s
      .duration()
      .default("2m")
      .doc("How long cAdvisor keeps figures in memory.")
      .withoutEffect("figures are read when they are asked for, and none are kept"),
    containerd_host: s.string().default(CONTAINERD_HOST).doc("Socket of containerd."),
    containerd_namespace: s.string().default("k8s.io").doc("Namespace of containerd whose containers are named."),
    docker_host: s
      .string()
      .default(DOCKER_HOST)
      .doc("Address of Docker: `unix:///PATH`, `tcp://HOST:PORT` or `https://HOST:PORT`."),
    use_docker_tls: s.bool().default(false).doc("Whether to connect to Docker with TLS."),
    docker_tls_cert: s.string().default("cert.pem").doc("File of the client certificate for Docker."),
    docker_tls_key: s.string().default("key.pem").doc("File of the client certificate's key."),
    docker_tls_ca: s.string().default("ca.pem").doc("File of the CA that Docker's certificate is checked against."),
    docker_only: s
      .bool()
      .default(false)
      .doc("Whether only containers and the root are reported, and not other control groups such as those of systemd."),
    disable_root_cgroup_stats: s.bool().default(false).doc("Whether the root control group is left out."),
  })
  .rule(
    "docker_host",
    ({ docker_host }) => dockerHostProblem(docker_host) === undefined,
    ({ docker_host }) => dockerHostProblem(docker_host)!,
  )
  .rule(
    "containerd_host",
    ({ containerd_host }) => socketPath(containerd_host).startsWith("/"),
    "is no path of a socket: write it as /run/containerd/containerd.sock",
  )
  .rule(
    "use_docker_tls",
    ({ use_docker_tls, docker_host }) => !use_docker_tls || !docker_host.startsWith("unix:"),
    "needs a `docker_host` that is reached through the network, such as tcp://HOST:2376",
  )
  .suspect((args) => {
    const found = args.enabled_metrics.flatMap((kind) => {
      const hint = WITHOUT_FIGURES.get(kind);
      return hint === undefined
        ? []
        : [{ field: "enabled_metrics", message: `has ${kind}, which gives no metrics`, hint }];
    });
    const { store_container_labels, allowlisted_container_labels: allowed } = args;
    if (!store_container_labels || allowed.every((name) => name === "")) return found;
    const message = "does not count, since all labels are stored";
    return [...found, { field: "allowlisted_container_labels", message, hint: "set store_container_labels = false" }];
  });

export type CadvisorArguments = Infer<typeof cadvisorArguments>;

export function kindsOf({ enabled_metrics, disabled_metrics }: CadvisorArguments): ReturnType<typeof selectKinds> {
  return selectKinds(enabled_metrics, disabled_metrics);
}

/** `unix:///run/x.sock` is a path as well. */
export function socketPath(host: string): string {
  return host.replace(/^unix:\/\//, "");
}

/** Whether the user says that there is an engine, rather than that there may be one. */
export function isExpected(args: Pick<CadvisorArguments, "docker_host" | "containerd_host">): {
  docker: boolean;
  containerd: boolean;
} {
  return { docker: args.docker_host !== DOCKER_HOST, containerd: args.containerd_host !== CONTAINERD_HOST };
}
