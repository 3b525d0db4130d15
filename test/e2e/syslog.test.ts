import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** Real senders of syslog, the agent, and what comes out of it. */

const run = promisify(execFile);

const RULES = `loki.relabel "syslog" {
  forward_to = []
  rule {
    action = "labelmap"
    regex  = "__syslog_message_(severity|facility|app_name)"
  }
}
`;

async function setUp(t: TestContext) {
  let received = "";
  const sink = await Sink.start((_path, body) => void (received += Buffer.from(body).toString("latin1")));
  cleanUp(t, () => sink.stop());
  const ports = { modern: await freePort(), legacy: await freePort(), udp: await freePort() };
  const agent = await startAgent(
    t,
    `${RULES}loki.source.syslog "in" {
  listener {
    address = "127.0.0.1:${ports.modern}"
    labels  = { from = "modern" }
  }
  listener {
    address       = "127.0.0.1:${ports.legacy}"
    syslog_format = "rfc3164"
    labels        = { from = "legacy" }
  }
  listener {
    address  = "127.0.0.1:${ports.udp}"
    protocol = "udp"
    labels   = { from = "udp" }
  }
  relabel_rules = loki.relabel.syslog.rules
  forward_to    = [loki.write.out.receiver]
}
loki.write "out" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}
`,
  );
  const count = (text: string) => received.split(text).length - 1;
  return { agent, ports, count };
}

test("logger sends over TCP and UDP, in both formats and framings", async (t) => {
  const { agent, ports, count } = await setUp(t);
  const logger = (...args: string[]) => run("logger", ["--server", "127.0.0.1", "--tag", "app", ...args]);
  await logger("--port", String(ports.modern), "--tcp", "--rfc5424", "--priority", "local3.warning", "modern by lines");
  await logger("--port", String(ports.modern), "--tcp", "--rfc5424", "--octet-count", "modern by octets");
  await logger("--port", String(ports.legacy), "--tcp", "--rfc3164", "--id=77", "legacy by lines");
  await logger("--port", String(ports.legacy), "--tcp", "--rfc3164", "--octet-count", "legacy by octets");
  await logger("--port", String(ports.udp), "--udp", "--rfc5424", "modern by datagram");
  const texts = ["modern by lines", "modern by octets", "legacy by lines", "legacy by octets", "modern by datagram"];
  await agent.until(() => texts.every((each) => count(each) === 1), "all five have come");
  assert.equal(count('{app_name="app", facility="local3", from="modern", severity="warning"}'), 1);
  assert.equal(count('{app_name="app", facility="user", from="udp", severity="notice"}'), 1);
  assert.equal(await agent.metric("loki_source_syslog_entries_total"), 5);
  assert.equal(await agent.metric("loki_source_syslog_parsing_errors_total"), 0);
});

test("rsyslogd forwards ten thousand messages over TCP, and every one comes once", async (t) => {
  const { agent, ports, count } = await setUp(t);
  const folder = temporaryFolder(t);
  const input = await freePort();
  writeFileSync(
    join(folder, "rsyslog.conf"),
    `global(workDirectory="${folder}")
module(load="imudp")
module(load="imtcp")
input(type="imtcp" port="${input}" address="127.0.0.1")
action(type="omfwd" target="127.0.0.1" port="${ports.modern}" protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
action(type="omfwd" target="127.0.0.1" port="${ports.legacy}" protocol="tcp" template="RSYSLOG_TraditionalForwardFormat")
`,
  );
  const rsyslog = spawn("/usr/sbin/rsyslogd", ["-n", "-f", join(folder, "rsyslog.conf"), "-i", join(folder, "pid")], {
    stdio: "ignore",
  });
  cleanUp(t, () => rsyslog.kill("SIGKILL"));
  const file = join(folder, "messages");
  const messages = 10_000;
  writeFileSync(file, Array.from({ length: messages }, (_, i) => `message number <${i}> of many\n`).join(""));
  const send = [
    "--server",
    "127.0.0.1",
    "--port",
    String(input),
    "--tcp",
    "--octet-count",
    "--tag",
    "app",
    "--file",
    file,
  ];
  await agent.until(
    () =>
      run("logger", send).then(
        () => true,
        () => false,
      ),
    "rsyslogd listens",
  );
  await agent.until(() => count("message number <") >= 2 * messages, "all have come twice, once over each listener");
  assert.equal(count("message number <"), 2 * messages);
  for (const i of [0, 4_321, messages - 1]) assert.equal(count(`message number <${i}> of many`), 2);
  assert.equal(await agent.metric("loki_source_syslog_parsing_errors_total"), 0);
  assert.equal(await agent.metric("loki_source_syslog_entries_total"), 2 * messages);
});
