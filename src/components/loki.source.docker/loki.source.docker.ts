import { defineComponent } from "#pipeline/component";
import { metrics, schema } from "./arguments.ts";
import { DockerSource } from "./docker-source.ts";

export default defineComponent({
  name: "loki.source.docker",
  stability: "generally-available",
  summary: "Reads the logs of containers from a Docker daemon.",
  example: `discovery.docker "example" {
  host = "unix:///var/run/docker.sock"
}

loki.source.docker "example" {
  host       = "unix:///var/run/docker.sock"
  targets    = discovery.docker.example.targets
  labels     = { job = "docker" }
  forward_to = []
}`,
  args: schema,
  metrics,

  start(ctx, args) {
    const source = new DockerSource(ctx, args);
    ctx.run((signal) => source.run(signal));
    return {
      update: (next) => source.update(next),
      drain: (deadline) => source.drain(deadline),
      debugInfo: () => ({
        targets_info: source.tailers.map((each) => ({
          id: each.id,
          last_error: each.problem?.cause ?? "",
          labels: each.target.toString(),
          is_running: each.isRunning,
        })),
      }),
    };
  },
});
