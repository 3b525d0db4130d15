import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";
import { readZip } from "../kit/zip.ts";

/** Every secret of the configuration has this in it. */
const MARK = "hunter2";

test("no answer, log line, metric or support bundle shows a secret", async (t) => {
  const folder = temporaryFolder(t);
  const sink = await Sink.start(() => {});
  cleanUp(t, () => sink.stop());
  let refused = 0;
  sink.answer = () => (refused++ < 3 ? { status: 500 } : { status: 204 });
  mkdirSync(join(folder, "logs"));
  writeFileSync(join(folder, "logs", "a.log"), "one\ntwo\n");
  writeFileSync(join(folder, "token"), `${MARK}-file`);
  const dead = await freePort();
  const config = `logging {
  level = "debug"
}

tracing {
  sampling_fraction = 1
  write_to          = [otelcol.exporter.otlphttp.x.input]
}

livedebugging {
  enabled = true
}

http {
  auth {
    basic {
      username = "me"
      password = "${MARK}-http"
    }

    filter {
      paths                       = ["/nowhere"]
      authenticate_matching_paths = true
    }
  }
}

declare "sender" {
  argument "password" { }

  argument "api_token" {
    optional = true
    default  = "${MARK}-default-token"
  }

  loki.write "inner" {
    endpoint {
      url = "${sink.url}/loki/api/v1/push"

      basic_auth {
        username = "me"
        password = argument.password.value
      }
    }
  }

  export "receiver" {
    value = loki.write.inner.receiver
  }
}

sender "s" {
  password = string.format("%s-argument", "${MARK}")
}

loki.write "bearer" {
  endpoint {
    url          = "http://user:${MARK}-url@127.0.0.1:${sink.port}/loki/api/v1/push"
    bearer_token = "${MARK}-bearer"
    headers      = { "X-Key" = "${MARK}-header" }
  }

  endpoint {
    url = "http://127.0.0.1:${dead}/none"

    authorization {
      type        = "Bearer"
      credentials = "${MARK}-credentials"
    }
  }

  endpoint {
    name = "oauth"
    url  = "${sink.url}/loki/api/v1/push"

    oauth2 {
      client_id     = "me"
      client_secret = "${MARK}-oauth"
      token_url     = "http://127.0.0.1:${dead}/token"
    }
  }
}

local.file_match "f" {
  path_targets = [{ __path__ = "${folder}/logs/*.log" }]
}

loki.source.file "f" {
  targets    = local.file_match.f.targets
  forward_to = [loki.write.bearer.receiver, sender.s.receiver]
}

prometheus.exporter.self "me" { }

prometheus.scrape "s" {
  targets         = array.concat(prometheus.exporter.self.me.targets, [{ __address__ = "127.0.0.1:${dead}" }])
  forward_to      = [prometheus.remote_write.w.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "500ms"

  basic_auth {
    username = "me"
    password = "${MARK}-scrape"
  }
}

prometheus.remote_write "w" {
  endpoint {
    url = "http://user:${MARK}-url2@127.0.0.1:${dead}/api/v1/write"

    basic_auth {
      username = "me"
      password = "${MARK}-write"
    }
  }
}

otelcol.exporter.otlphttp "x" {
  client {
    endpoint = "${sink.url}"
    headers  = { "x-key" = "${MARK}-otlp" }
  }
}
`;
  const agent = await startAgent(t, config);
  await agent.until(() => sink.counts.requests > 2, "something was sent");
  await agent.until(
    async () => (await agent.component("prometheus.remote_write.w")).flow.state !== "idle",
    "the outage shows",
  );

  const shown = new Map<string, string>();
  const ask = async (path: string, init?: RequestInit) => {
    const response = await agent.api(path, init);
    shown.set(path, `${response.status} ${[...response.headers].join(" ")} ${await response.text()}`);
  };
  const components = await agent.json<{ localID: string }[]>("/api/v0/web/components");
  const inner = await agent.json<{ localID: string }[]>("/api/v0/web/modules/sender.s/components");
  for (const path of ["/metrics", "/-/healthy", "/debug/pprof/cmdline", "/api/v0/web/components", "/api/v0/web/status"])
    await ask(path);
  const ids = [...components.map((each) => each.localID), ...inner.map((each) => `sender.s/${each.localID}`)];
  for (const id of ids) {
    await ask(`/api/v0/web/components/${id}`);
    await ask(`/api/v0/web/explain/${id}`);
  }
  await ask("/api/v0/web/pipeline");
  await ask("/api/v0/web/pipeline?module=sender.s");
  await ask("/api/v0/web/modules/sender.s/components");
  await ask("/api/v0/component/prometheus.exporter.self.me/metrics");

  const bundle = await (await agent.api("/-/support?duration=1")).bytes();
  for (const [name, content] of readZip(Buffer.from(bundle))) shown.set(`bundle: ${name}`, content.toString("latin1"));

  // Errors about values that are secret, or near to them, must not quote them either.
  agent.write(config.replace(`bearer_token = "${MARK}-bearer"`, `bearer_token = { a = "${MARK}-bad" }`));
  await ask("/-/reload", { method: "POST" });
  agent.write(config.replace(`url          = "http://user:${MARK}-url@`, `url          = "ht tp://user:${MARK}-url@`));
  await ask("/-/reload?bad-url", { method: "POST" });
  await ask("/api/v0/web/status?failed-reload");
  // The difference to the text before, with the secrets of both.
  agent.write(config.replaceAll(MARK, `${MARK}-new`).replace('level = "debug"', 'level = "info"'));
  await ask("/-/reload?changed", { method: "POST" });
  await ask("/api/v0/web/status?changed");
  for (const format of ["mermaid", "dot", "json"]) {
    const { stdout, stderr } = await runInvar(["graph", `--format=${format}`, agent.configPath]);
    shown.set(`graph ${format}`, stdout + stderr);
  }

  await agent.stop(5_000);
  shown.set("log", agent.log);
  const leaks: string[] = [];
  for (const [place, text] of shown) {
    for (const match of text.matchAll(new RegExp(`.{0,60}${MARK}[\\w-]*`, "g"))) leaks.push(`${place}: ${match[0]}`);
  }
  assert.deepEqual(leaks, []);
  assert.match(shown.get("/api/v0/web/components/loki.write.bearer")!, /\(secret\)/);
  assert.match(
    shown.get("/api/v0/web/explain/loki.write.bearer")!,
    /"path":"endpoint\[0\]\.bearer_token","value":"\(secret\)"/,
  );
  assert.match(shown.get("/api/v0/web/status?failed-reload")!, /"failedReload":\{"time":/);
  assert.match(shown.get("/api/v0/web/status?changed")!, /- {2}level = \\"debug\\"\\n\+ {2}level = \\"info\\"/);
  assert.match(shown.get("/api/v0/web/status?changed")!, /"failedReload":null/);
  assert.match(shown.get("graph mermaid")!, /^flowchart LR\n/);
  assert.match(shown.get("bundle: alloy-support-bundle/sources/config.alloy")!, /\(secret\)/);
});
