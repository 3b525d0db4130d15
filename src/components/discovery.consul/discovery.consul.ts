import { counter, summary } from "#base/metrics";
import { DiscoveryTargets, discoveryExports } from "#kits/discovery/targets";
import { basicAuthSchema, httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { defaultsOf } from "#lang/decode";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { ConsulApi, serverProblem } from "./consul-api.ts";
import { ConsulWatch } from "./consul-watch.ts";

/** Changes within this time are exported together. */
const PUBLISH_MS = 100;

const schema = httpClientRules(
  s.object({
    server: s
      .string()
      .default("localhost:8500")
      .doc("Address of Consul's HTTP API; also https://HOST or unix:///PATH."),
    token: s.secret().default("").doc("Token for Consul; CONSUL_HTTP_TOKEN of the environment when empty."),
    datacenter: s.string().default("").doc("Data centre to ask about; that of the agent that is asked when empty."),
    namespace: s.string().default("").doc("Namespace to ask about, for Consul Enterprise."),
    partition: s.string().default("").doc("Admin partition to ask about, for Consul Enterprise."),
    tag_separator: s.string().default(",").doc("What stands between and around the tags in `__meta_consul_tags`."),
    scheme: s.oneOf(["http", "https"]).default("http").doc("How to reach `server`."),
    username: s.string().default("").doc("User name for each request.").deprecated("use `basic_auth`"),
    password: s.secret().default("").doc("Password for each request.").deprecated("use `basic_auth`"),
    allow_stale: s.bool().default(true).doc("Take the answer of any server, which is cheaper than that of the leader."),
    services: s.list(s.string()).optional().doc("Services to find; all of them when left out."),
    tags: s.list(s.string()).optional().doc("Tags that an instance must have, all of them."),
    node_meta: s.map(s.string()).optional().doc("Metadata that a node must have, all of it."),
    refresh_interval: s.duration().default("30s").doc("Shortest time between two requests for the same service."),
    ...httpClientFields,
  }),
)
  .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0")
  .rule(
    "server",
    (args) => serverProblem(args.server) === undefined,
    (args) => serverProblem(args.server)!,
  )
  .rule(
    "username",
    (args) => args.username === "" || args.basic_auth === undefined,
    "and `basic_auth` exclude each other",
  );

type Arguments = Infer<typeof schema>;

export default defineComponent({
  name: "discovery.consul",
  stability: "generally-available",
  summary: "Finds the services that Consul knows.",
  example: `discovery.consul "example" {
  server   = "localhost:8500"
  services = ["web", "db"]
}`,
  args: schema,
  exports: discoveryExports,
  metrics: {
    failures: counter("prometheus_sd_consul_rpc_failures_total", "The number of Consul RPC call failures."),
    duration: summary(
      "prometheus_sd_consul_rpc_duration_seconds",
      "The duration of a Consul RPC call in seconds.",
      [0.5, 0.9, 0.99],
      ["endpoint", "call"],
    ),
  },

  start(ctx, args) {
    const { clock, metrics } = ctx;
    const targets = new DiscoveryTargets(ctx);
    let current = args;
    let api = apiOf(args);
    let isDue = false;
    let again = new AbortController();
    ctx.stack.defer(() => api.close());

    ctx.run(async (signal) => {
      while (!signal.aborted) {
        again = new AbortController();
        const until = AbortSignal.any([signal, again.signal]);
        await watchOf(current).run(until);
      }
    });
    return {
      async update(next) {
        const before = api;
        api = apiOf(next);
        current = next;
        again.abort(new Error("the arguments changed"));
        await before.close();
      },
    };

    function apiOf({ username, password, ...options }: Arguments): ConsulApi {
      const isGiven = username !== "" || password.reveal() !== "";
      const basic_auth = isGiven ? { ...defaultsOf(basicAuthSchema), username, password } : options.basic_auth;
      return new ConsulApi({ ...options, basic_auth }, ctx.services.version, process.env);
    }

    function publishSoon(): void {
      if (isDue) return;
      isDue = true;
      const publish = () => {
        isDue = false;
        targets.publish();
      };
      void clock.sleep(PUBLISH_MS, ctx.signal).then(publish, () => {});
    }

    function watchOf(options: Arguments): ConsulWatch {
      const { services = [], tags = [], tag_separator: tagSeparator, refresh_interval: intervalMs } = options;
      return new ConsulWatch(
        api,
        clock,
        { services, tags, tagSeparator, intervalMs },
        {
          set(service, answer) {
            targets.set(service, answer);
            publishSoon();
          },
          retain(names) {
            targets.retain(names);
            publishSoon();
          },
          asks(call) {
            const began = clock.monotonic();
            return (failed) => {
              metrics.duration.labels("catalog", call).observe((clock.monotonic() - began) / 1_000);
              if (failed) metrics.failures.inc();
            };
          },
        },
      );
    }
  },
});
