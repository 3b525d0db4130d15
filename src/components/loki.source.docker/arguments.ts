import { counter } from "#base/metrics";
import { dockerHostProblem } from "#kits/docker-engine";
import { httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { type Infer, s } from "#lang/schema";
import type { ComponentContext } from "#pipeline/component";

export const schema = s
  .object({
    host: s.string().doc("Address of the Docker daemon, such as `unix:///var/run/docker.sock` or `tcp://HOST:2375`."),
    targets: s.targets().doc("Containers to read, by their label `__meta_docker_container_id`."),
    forward_to: s.list(s.consumer("logs")).doc("Where lines go."),
    labels: s.map(s.string()).default({}).doc("Labels for all lines; they replace those of targets."),
    relabel_rules: s
      .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
      .optional()
      .doc("Rules of a `loki.relabel`, applied to the labels of lines; `__meta_docker_*` has what the targets have."),
    refresh_interval: s.duration().default("1m").doc("Longest time for an answer of the Docker daemon."),
    http_client_config: s
      .block(httpClientRules(s.object(httpClientFields)))
      .presentByDefault()
      .doc("How to reach a Docker daemon at an `http` or `https` address."),
  })
  .rule(
    "host",
    (args) => dockerHostProblem(args.host) === undefined,
    (args) => dockerHostProblem(args.host)!,
  )
  .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0");

export type Arguments = Infer<typeof schema>;

export const metrics = {
  entries: counter(
    "loki_source_docker_target_entries_total",
    "Total number of successful entries sent to the Docker target",
  ),
  errors: counter(
    "loki_source_docker_target_parsing_errors_total",
    "Total number of parsing errors while receiving Docker messages",
  ),
};

export type Context = ComponentContext<Record<never, never>, typeof metrics>;
