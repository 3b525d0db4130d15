import { grpcEndpointProblem } from "#kits/grpc/target";
import { grpcBackendSchema } from "#kits/otelcol/client-schema";
import { debugMetricsSchema, queueSchema, retrySchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import { ROUTING_KEYS } from "./routing.ts";

/** Matches internal/component/otelcol/exporter/loadbalancing of Alloy. */

const staticSchema = s
  .object({ hostnames: s.list(s.string()).doc("Backends as `host:port` or `host`, with the port 4317.") })
  .rule("hostnames", (a) => a.hostnames.length > 0, "must name at least one backend")
  .rule(
    "hostnames",
    (a) => !a.hostnames.some((name) => name.includes("@")),
    "must not have a user before an @: set `auth` or `headers` in the `client` block",
  )
  .rule(
    "hostnames",
    (a) => a.hostnames.some((name) => name.includes("@")) || problemOf(a.hostnames) === undefined,
    (a) => `has a backend that cannot be used: ${problemOf(a.hostnames)}`,
  );

function problemOf(hostnames: readonly string[]): string | undefined {
  return hostnames.map(grpcEndpointProblem).find((problem) => problem !== undefined);
}

const dnsSchema = s
  .object({
    hostname: s.string().doc("Name whose addresses are the backends."),
    port: s.string().default("4317").doc("Port of the backends."),
    interval: s.duration().default("5s").doc("Time between look-ups; 0 for 5s."),
    timeout: s.duration().default("1s").doc("Time for a look-up; 0 for 1s."),
  })
  .rule("hostname", (a) => a.hostname !== "", "must not be empty")
  .rule("port", (a) => a.port === "" || /^\d{1,5}$/.test(a.port), 'must be a number, such as "4317"');

const HEALTH = ["HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"] as const;

const cloudMapSchema = s
  .object({
    namespace: s.string().doc("Name of the Cloud Map namespace."),
    service_name: s.string().doc("Name of the service in it."),
    health_status: s.oneOf(HEALTH).default("HEALTHY").doc("Which instances count."),
    interval: s.duration().default("30s").doc("Time between requests; 0 for 30s."),
    timeout: s.duration().default("5s").doc("Time for a request; 0 for 5s."),
    port: s.int(0, 65_535).optional().doc("Port of the backends; without it, that of each instance."),
    owner_account: s.string().default("").doc("AWS account that owns the namespace, if it is another one."),
  })
  .rule("namespace", (a) => a.namespace !== "", "must not be empty")
  .rule("service_name", (a) => a.service_name !== "", "must not be empty");

const kubernetesSchema = s.object({
  service: s.string().doc("Service as `name.namespace`."),
  ports: s.list(s.int()).default([4317]).doc("Ports of the backends."),
  timeout: s.duration().default("1m").doc("Time for a request."),
  return_hostnames: s.bool().default(false).doc("Use names of pods instead of addresses."),
});

const resolverSchema = s
  .object({
    static: s.block(staticSchema).doc("A fixed list of backends."),
    dns: s.block(dnsSchema).doc("The addresses of a name."),
    kubernetes: s
      .block(kubernetesSchema)
      .unsupported(
        "backends of a Kubernetes service cannot be watched yet: make the service headless and use `dns` with its name",
      )
      .doc("The endpoints of a service."),
    aws_cloud_map: s.block(cloudMapSchema).doc("The instances of a service in AWS Cloud Map."),
  })
  .rule("static", (a) => count(a) > 0, "is missing: one of the blocks static, dns and aws_cloud_map must be there")
  .rule("static", (a) => count(a) < 2, "must be the only resolver: leave just one of static, dns and aws_cloud_map");

function count(given: { readonly static: unknown; readonly dns: unknown; readonly aws_cloud_map: unknown }): number {
  return [given.static, given.dns, given.aws_cloud_map].filter((each) => each !== undefined).length;
}

export const loadBalancingSchema = s.object({
  routing_key: s.oneOf(ROUTING_KEYS).default("traceID").doc("What of the data decides where it goes."),
  timeout: s.duration().default("0s").doc("Time for handing a request to the backends; 0 for none."),
  protocol: s
    .block(
      s.object({
        otlp: s
          .block(
            s.object({
              timeout: s.duration().default("5s").doc("Time for a call to be answered; 0 for none."),
              queue: s.block(queueSchema).presentByDefault().doc("What waits for one backend."),
              retry: s.block(retrySchema).presentByDefault().doc("How requests to one backend are repeated."),
              client: s.block(grpcBackendSchema).required().doc("How to send to backends."),
            }),
          )
          .required()
          .doc("OTLP over gRPC."),
      }),
    )
    .required()
    .doc("How backends are spoken to."),
  resolver: s.block(resolverSchema).required().doc("Where backends are found."),
  retry_on_failure: s
    .block(retrySchema)
    .presentByDefault({ enabled: false })
    .doc("How requests are repeated that backends did not take, by the routes of then. Off without the block."),
  sending_queue: s
    .block(queueSchema)
    .presentByDefault({ enabled: false })
    .doc("What waits before it is routed. Off without the block."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
export type LoadBalancingArguments = Infer<typeof loadBalancingSchema>;
