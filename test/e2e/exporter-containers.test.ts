import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { ControlGroup, noControlGroups } from "#components/prometheus.exporter.cadvisor/control-group.testing";
import { startAgent } from "../kit/agent.ts";
import { decodeWrite } from "../kit/remote-write.ts";
import { Sink } from "../kit/sink.ts";

test("figures of control groups and processes reach a backend", { skip: noControlGroups }, async (t) => {
  const group = new ControlGroup(t, `/invar-e2e-${process.pid}`);
  await group.run(t, "const held = Buffer.alloc(32 << 20, 1); console.log(); setInterval(() => held.length, 60_000);");
  const sleeper = spawn("sleep", ["60"], { argv0: "/opt/invar-e2e", stdio: "ignore" });
  cleanUp(t, () => sleeper.kill());

  const latest = new Map<string, number>();
  const sink = await Sink.start((_, body) => {
    for (const { labels, samples } of decodeWrite(body)) {
      const [name, id, program] = ["__name__", "id", "groupname"].map((label) => labels.get(label) ?? "");
      if (id === group.name || program === "invar-e2e" || name === "up") {
        latest.set(`${name} ${labels.get("job")}`, samples.at(-1)!.value);
      }
    }
  });
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(
    t,
    `
prometheus.exporter.cadvisor "x" {
	enabled_metrics = ["memory", "cpu"]
}

prometheus.exporter.process "x" {
	matcher {
		exe = ["invar-e2e"]
	}
}

prometheus.scrape "x" {
	targets         = array.concat(prometheus.exporter.cadvisor.x.targets, prometheus.exporter.process.x.targets)
	scrape_interval = "1s"
	scrape_timeout  = "1s"
	forward_to      = [prometheus.remote_write.x.receiver]
}

prometheus.remote_write "x" {
	endpoint {
		url = "${sink.url}/api/v1/write"

		queue_config {
			batch_send_deadline = "200ms"
		}
	}
}
`,
  );
  await agent.until(
    () =>
      latest.get("up integrations/cadvisor") === 1 &&
      latest.get("up integrations/process") === 1 &&
      (latest.get("container_memory_rss integrations/cadvisor") ?? 0) > 32 * 2 ** 20 &&
      latest.get("namedprocess_namegroup_num_procs integrations/process") === 1,
    "figures of both exporters",
  );
  for (const id of ["prometheus.exporter.cadvisor.x", "prometheus.exporter.process.x"]) {
    assert.equal((await agent.component(id)).flow.state, "ok", id);
  }
});
