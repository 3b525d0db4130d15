import { DiscoveryPoller, discoveryExports, discoveryMetrics } from "#kits/discovery/poller";
import { DockerEngine, dockerHostProblem } from "#kits/docker-engine";
import { httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { dockerTargets } from "./docker-targets.ts";

const schema = httpClientRules(
  s.object({
    host: s.string().doc("Address of the Docker daemon, such as `unix:///var/run/docker.sock` or `tcp://HOST:2375`."),
    port: s.int().default(80).doc("Port of targets for containers that expose none."),
    host_networking_host: s
      .string()
      .default("localhost")
      .doc("Address of targets for containers that use the host's network."),
    refresh_interval: s.duration().default("1m").doc("How often to ask for containers."),
    match_first_network: s
      .bool()
      .default(true)
      .doc("Take only the first network, by name, of a container that has several."),
    filter: s
      .blocks(
        s.object({
          name: s.string().doc("Name of a filter of Docker's container list, such as `label` or `status`."),
          values: s.list(s.string()).doc("What the filter lets through."),
        }),
      )
      .doc("Which containers to ask for; running ones without."),
    ...httpClientFields,
  }),
)
  .rule(
    "host",
    (args) => dockerHostProblem(args.host) === undefined,
    (args) => dockerHostProblem(args.host)!,
  )
  .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0");

export default defineComponent({
  name: "discovery.docker",
  stability: "generally-available",
  summary: "Finds the containers of a Docker daemon.",
  example: `discovery.docker "example" {
  host = "unix:///var/run/docker.sock"
}`,
  args: schema,
  exports: discoveryExports,
  metrics: discoveryMetrics,

  start(ctx, args) {
    let engine = engineOf(args);
    ctx.stack.defer(() => engine.close());
    const poller = new DiscoveryPoller(ctx, "docker", args.refresh_interval, refreshOf(args));
    return {
      async update(next) {
        const before = engine;
        engine = engineOf(next);
        poller.update(next.refresh_interval, refreshOf(next));
        await before.close();
      },
    };

    function engineOf({ host, refresh_interval, ...http }: Infer<typeof schema>): DockerEngine {
      return new DockerEngine({ host, http, userAgent: `Invar/${ctx.services.version}`, timeoutMs: refresh_interval });
    }
    function refreshOf(options: Infer<typeof schema>) {
      const filters = new Map<string, string[]>();
      for (const { name, values } of options.filter) filters.set(name, [...(filters.get(name) ?? []), ...values]);
      return async (signal: AbortSignal) => {
        const containers = await engine.containers(filters, signal);
        return dockerTargets(containers, await engine.networks(signal), options);
      };
    }
  },
});
