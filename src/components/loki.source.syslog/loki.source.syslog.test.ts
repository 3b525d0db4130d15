import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { cleanUp } from "#base/clean-up.testing";
import { systemClock } from "#base/clock";
import { until } from "#base/until.testing";
import { createAuthority } from "#kits/certificates.testing";
import { RELABEL_RULES_CAPSULE, type RelabelRule, relabelRuleSchema } from "#kits/relabel-schema";
import { decodeBody } from "#lang/decode";
import { parseFile } from "#lang/parser";
import { s } from "#lang/schema";
import { Capsule } from "#lang/value";
import { decodeArguments, recordLogs, startComponent } from "#pipeline/testing";
import syslog from "./loki.source.syslog.ts";

const KEEP_ALL = `rule {
  action = "labelmap"
  regex  = "__syslog_(.+)"
}`;

function rulesValue(text: string): Capsule {
  const { rule } = decodeArguments({ name: "test", args: s.object({ rule: s.blocks(relabelRuleSchema) }) }, text);
  return new Capsule(RELABEL_RULES_CAPSULE, rule as readonly RelabelRule[]);
}

interface Options {
  readonly rules?: string;
  readonly scope?: Readonly<Record<string, string>>;
  readonly minimumStability?: "generally-available";
}

/** A component with one listener on loopback; `listener` is the inside of its block. */
async function start(t: TestContext, listener = "", options: Options = {}) {
  const recorder = recordLogs();
  const clock = { ...systemClock, shiftMs: 0, now: () => Date.now() + clock.shiftMs };
  const config = (inside: string) =>
    `forward_to = [out]\n${options.rules === undefined ? "" : "relabel_rules = rules"}\nlistener {\n${/address/.test(inside) ? "" : 'address = "127.0.0.1:0"'}\n${inside}\n}`;
  const component = await startComponent(syslog, config(listener), {
    scope: { out: recorder.value, rules: rulesValue(options.rules ?? ""), ...options.scope },
    clock,
    services: options.minimumStability === undefined ? {} : { minimumStability: options.minimumStability },
  });
  cleanUp(t, () => component.stop());
  const info = () =>
    (
      component.instance.debugInfo!() as {
        listeners_info: { ready: boolean; listen_address: string; labels: string }[];
      }
    ).listeners_info[0]!;
  const judge = () => {
    component.flow.judge();
    return component.flow.status;
  };
  const port = async () => {
    await until(() => info().ready, "listening");
    return Number(info().listen_address.split(":").at(-1));
  };
  const lines = () => recorder.items.map(({ line }) => line);
  const dropped = (reason: string) => component.flow.dropped.get("logs")?.get(reason) ?? 0;
  return { component, recorder, clock, config, info, judge, port, lines, dropped };
}

async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  cleanUp(t, () => socket.destroy());
  socket.on("error", () => {});
  socket.resume(); // or its end would never be noticed
  await once(socket, "connect");
  return socket;
}

async function send(port: number, ...datagrams: (string | Buffer)[]): Promise<void> {
  const socket = createSocket("udp4");
  for (const each of datagrams) {
    await new Promise((resolve) => socket.send(each, port, "127.0.0.1", resolve));
  }
  socket.close();
}

const MODERN = (text: string) => `<165>1 2018-10-11T22:14:15.003Z host5 e - id1 [custom@32473 exkey="1"] ${text}`;

for (const [name, frame] of [
  ["newlines", (text: string) => `${text}\n`],
  ["octets", (text: string) => `${Buffer.byteLength(text)} ${text}`],
] as const) {
  for (const protocol of ["tcp", "udp"] as const) {
    test(`${protocol} with ${name}: labels from the message, by rules`, async (t) => {
      const listener = `protocol = "${protocol}"\nlabel_structured_data = true\nlabels = { test = "yes", __hidden = "x" }`;
      const { component, recorder, port, lines, dropped } = await start(t, listener, { rules: KEEP_ALL });
      const messages = ["one", "zwei ✓", "three"].map((text) => frame(MODERN(text)));
      if (protocol === "udp") await send(await port(), ...messages);
      else (await open(t, await port())).write(messages.join(""));
      await recorder.waitFor(3);
      assert.deepEqual(lines(), ["one", "zwei ✓", "three"]);
      const labels =
        '{connection_ip_address="127.0.0.1", message_app_name="e", message_facility="local4", ' +
        'message_hostname="host5", message_msg_id="id1", message_sd_custom_32473_exkey="1", message_severity="notice", test="yes"}';
      // What the machine calls 127.0.0.1 is its own affair.
      assert.equal(recorder.items[0]!.labels.replace(/connection_hostname="[^"]+", /, ""), labels);
      assert.ok(Math.abs(recorder.items[0]!.ms - Date.now()) < 60_000);
      await until(() => component.metric("loki_source_syslog_entries_total") === 3, "counted");
      assert.equal(dropped("parse_error"), 0);
    });
  }
}

test("without rules only the labels of the listener are left; times and whole messages on request", async (t) => {
  const listener = 'labels = { job = "s" }\nuse_incoming_timestamp = true\nuse_rfc5424_message = true';
  const { recorder, port } = await start(t, listener);
  (await open(t, await port())).write(`${MODERN("x")}\n`);
  await recorder.waitFor(1);
  const { line, labels, ms } = recorder.items[0]!;
  assert.deepEqual([line, labels, ms], [MODERN("x"), '{job="s"}', Date.UTC(2018, 9, 11, 22, 14, 15, 3)]);
});

test("RFC 3164, with this year's times", async (t) => {
  const listener = 'syslog_format = "rfc3164"\nuse_incoming_timestamp = true\nrfc3164_default_to_current_year = true';
  const { recorder, clock, port } = await start(t, listener, { rules: KEEP_ALL });
  clock.shiftMs = new Date(2025, 5, 1).getTime() - Date.now();
  (await open(t, await port())).write("<34>Oct 11 22:14:15 mymachine su[7]: failed\n");
  await recorder.waitFor(1);
  const { line, labels, ms } = recorder.items[0]!;
  assert.deepEqual([line, ms], ["failed", Date.UTC(2025, 9, 11, 22, 14, 15)]);
  assert.match(
    labels,
    /message_app_name="su".*message_facility="auth".*message_proc_id="7", message_severity="critical"/,
  );
});

test("raw lines", async (t) => {
  const listener =
    'syslog_format = "raw"\nlabels = { job = "s" }\nraw_format_options {\n use_null_terminator_delimiter = true\n}';
  const { component, recorder, port, lines } = await start(t, listener);
  (await open(t, await port())).write("CEF:0|a\nb\0\0<13> hello \0<13>\0tail\0");
  await recorder.waitFor(3);
  assert.deepEqual(lines(), ["CEF:0|a\nb", "hello", "tail"]);
  assert.equal(component.metric("loki_source_syslog_empty_messages_total"), 1);
});

test("raw and Cisco's additions are experimental", async (t) => {
  const options = { minimumStability: "generally-available" } as const;
  await assert.rejects(
    start(t, 'syslog_format = "raw"', options),
    /experimental: start the agent with --stability.level/,
  );
  const cisco = 'syslog_format = "rfc3164"\nrfc3164_cisco_components {\n enable_all = true\n}';
  await assert.rejects(start(t, cisco, options), /rfc3164_cisco_components` is experimental/);
});

test("empty messages are counted and dropped, unless they are wanted", async (t) => {
  for (const wanted of [false, true]) {
    const run = await start(t, `rfc5424_allow_empty_msg = ${wanted}\nlabels = { a = "b" }`);
    (await open(t, await run.port())).write("<13>1 - h a - - -\n<13>1 - h a - - - x\n");
    await run.recorder.waitFor(wanted ? 2 : 1);
    assert.deepEqual(run.lines(), wanted ? ["", "x"] : ["x"]);
    assert.equal(run.component.metric("loki_source_syslog_empty_messages_total"), 1);
    assert.equal(run.dropped("empty_message"), wanted ? 0 : 1);
    assert.equal(run.judge().state, "ok");
  }
});

test("what cannot be read is dropped under a reason, and the status says from whom and why", async (t) => {
  const { component, recorder, port, judge, dropped } = await start(t, 'labels = { a = "b" }');
  assert.deepEqual([(await port()) > 0, judge().state, judge().rule], [true, "idle", "no_messages"]);
  const socket = await open(t, await port());
  socket.write("<34>Oct 11 22:14:15 mymachine su: old\n");
  await until(() => dropped("parse_error") === 1, "dropped");
  assert.deepEqual([judge().state, judge().rule], ["failing", "messages_unreadable"]);
  assert.match(
    judge().cause,
    /^dropped 1 messages as parse_error in the last 5 min, the last from 127.0.0.1: this is RFC 3164/,
  );
  socket.write("<13>1 - h a - - - good\n");
  await recorder.waitFor(1);
  assert.equal(judge().state, "degraded");
  const other = await open(t, await port());
  other.write("hello\n");
  await once(other, "close");
  assert.equal(dropped("framing_error"), 1);
  assert.equal(component.metric("loki_source_syslog_parsing_errors_total"), 2);
});

test("a message longer than max_message_length ends its connection; others go on", async (t) => {
  const { recorder, port, dropped } = await start(t, 'max_message_length = 100\nlabels = { a = "b" }');
  const bad = await open(t, await port());
  const good = await open(t, await port());
  bad.write("101 <13>1 - h a - - - ");
  await once(bad, "close");
  assert.equal(dropped("framing_error"), 1);
  good.write(`<13>1 - h a - - - ${"y".repeat(200)}\n`);
  await recorder.waitFor(1);
});

test("datagrams are cut at max_message_length, which the status tells", async (t) => {
  const { recorder, port, lines, judge } = await start(
    t,
    'protocol = "udp"\nmax_message_length = 21\nlabels = { a = "b" }',
  );
  await send(await port(), "<13>1 - h a - - - 1234567");
  await recorder.waitFor(1);
  assert.deepEqual(lines(), ["123"]);
  assert.equal(judge().rule, "messages_truncated");
  assert.match(judge().cause, /one from 127.0.0.1 had 25 bytes, and `max_message_length` is 21/);
});

test("datagrams wait for a slow consumer up to a bound, and are counted beyond it", async (t) => {
  const listener = 'protocol = "udp"\nudp_queue_size = 1\nlabels = { a = "b" }';
  const { recorder, port, judge, dropped, lines } = await start(t, listener);
  const gate = Promise.withResolvers<void>();
  cleanUp(t, () => gate.resolve());
  recorder.gate = () => gate.promise;
  const to = await port();
  const text = `<13>1 - h a - - - ${"z".repeat(8_000)}`;
  // The kernel drops what comes in too large bursts.
  for (let i = 0; i < 200 && dropped("queue_full") === 0; i++) {
    await send(to, text, text, text, text, text);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(dropped("queue_full") > 0);
  assert.match(judge().cause, /as queue_full in the last 5 min.*raise `udp_queue_size`/);
  gate.resolve();
  await until(() => lines().length >= 130, "what waited came");
});

test("a slow consumer holds a TCP sender back, who is not idle meanwhile; afterwards it is", async (t) => {
  const { recorder, port } = await start(t, 'labels = { a = "b" }\nidle_timeout = "300ms"');
  const gate = Promise.withResolvers<void>();
  cleanUp(t, () => gate.resolve());
  recorder.gate = () => gate.promise;
  const socket = await open(t, await port());
  const closed = once(socket, "close");
  const text = `<13>1 - h a - - - ${"z".repeat(8_000)}\n`;
  for (let i = 0; i < 2_000; i++) socket.write(text);
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.ok(socket.writableLength > 1_000_000, "the sender still holds most of it");
  gate.resolve();
  await recorder.waitFor(2_000, 20_000);
  await closed;
});

test("rules that drop do not, as in Alloy, and the status says so; so it does for entries without labels", async (t) => {
  const rules = `${KEEP_ALL}\nrule {\n action = "drop"\n source_labels = ["__syslog_message_severity"]\n regex = "notice"\n}`;
  const { recorder, port, judge } = await start(t, "", { rules });
  (await open(t, await port())).write("<13>1 - h a - - - x\n");
  await recorder.waitFor(1);
  await until(() => judge().rule === "rules_cannot_drop", "told");
  assert.match(judge().cause, /would drop 1 messages/);
  const bare = await start(t);
  (await open(t, await bare.port())).write("<13>1 - h a - - - x\n");
  await bare.recorder.waitFor(1);
  await until(() => bare.judge().rule === "no_labels", "told");
});

test("TLS with certificates of clients", async (t) => {
  const authority = createAuthority();
  const server = authority.issue({});
  const client = authority.issue({ commonName: "client" });
  const listener = 'labels = { a = "b" }\ntls_config {\n cert_pem = cert\n key_pem = key\n ca_pem = ca\n}';
  const scope = { cert: server.cert, key: server.key, ca: authority.cert };
  const { recorder, port, judge } = await start(t, listener, { scope });
  const options = { host: "127.0.0.1", port: await port(), ca: authority.cert, servername: "localhost" };
  const known = connectTls({ ...options, cert: client.cert, key: client.key });
  cleanUp(t, () => known.destroy());
  known.on("error", () => {});
  known.write("<13>1 - h a - - - secret\n");
  await recorder.waitFor(1);
  const unknown = connectTls(options);
  cleanUp(t, () => unknown.destroy());
  unknown.on("error", () => {});
  await until(() => judge().rule === "connections_refused", "told");
  assert.match(
    judge().cause,
    /^1 connections as tls in the last 5 min were refused: .*peer did not return a certificate/,
  );
  await assert.rejects(start(t, 'tls_config {\n ca_pem = "x"\n}'), /certificate and key must be configured/);
});

test("a port that is taken: unhealthy with the reason, and tried again", async (t) => {
  const squatter = createServer().listen(0, "127.0.0.1");
  await once(squatter, "listening");
  const { port } = squatter.address() as { port: number };
  const { component, judge, info } = await start(t, `address = "127.0.0.1:${port}"`);
  await until(() => component.problem !== undefined, "unhealthy");
  assert.match(component.problem!, /cannot listen on 127.0.0.1:\d+: another program listens there/);
  assert.deepEqual([judge().state, judge().rule], ["failing", "listener"]);
  await new Promise((resolve) => squatter.close(resolve));
  await until(() => info().ready, "listening").catch(() => until(() => info().ready, "listening"));
  assert.equal(component.problem, undefined);
});

test("an update that changes other things leaves connections alone; changed listeners are replaced", async (t) => {
  const { component, recorder, config, port, info } = await start(t, 'labels = { a = "1" }', { rules: KEEP_ALL });
  const socket = await open(t, await port());
  const before = info().listen_address;
  await component.update(`${config('labels = { a = "1" }').replace("relabel_rules = rules", "")}`);
  socket.write("<13>1 - h a - - - x\n");
  await recorder.waitFor(1);
  assert.equal(recorder.items[0]!.labels, '{a="1"}');
  assert.equal(info().listen_address, before);
  await component.update(config('labels = { a = "2" }'));
  await once(socket, "close");
  (await open(t, await port())).write("<13>1 - h a - - - y\n");
  await recorder.waitFor(2);
  assert.match(recorder.items[1]!.labels, /a="2"/);
});

test("what was sent before a stop is delivered", async (t) => {
  const { component, recorder, port, lines } = await start(t, 'labels = { a = "b" }');
  const socket = await open(t, await port());
  socket.write("<13>1 - h a - - - one\n<13>1 - h a - - - two");
  await recorder.waitFor(0);
  await until(() => lines().length === 1 || component.flow.received.items > 0 || socket.bytesWritten > 0, "sent");
  await new Promise((resolve) => setTimeout(resolve, 50));
  await component.stop();
  assert.deepEqual(lines(), ["one", "two"]);
});

test("arguments that have no effect are errors", async (t) => {
  for (const [inside, message] of [
    [
      'rfc5424_allow_empty_msg = true\nsyslog_format = "rfc3164"',
      /has no effect when syslog format is set to "rfc3164"/,
    ],
    ['use_rfc5424_message = true\nsyslog_format = "raw"', /has no effect when syslog format is set to "raw"/],
    ["rfc3164_cisco_components {\n enable_all = true\n}", /has no effect when syslog format is not "rfc3164"/],
    ['syslog_format = "rfc3164"\nrfc3164_cisco_components {}', /at least one option in rfc3164_cisco_components/],
    ["raw_format_options {}", /has no effect when syslog format is not "raw"/],
    ['protocol = "sctp"', /`protocol` cannot be "sctp"/],
  ] as const) {
    await assert.rejects(start(t, inside), message, inside);
  }
});

test("arguments of clients have no effect on a listener, which is said", () => {
  const told = (tls: string) => {
    const text = `forward_to = []\nlistener {\naddress = "127.0.0.1:0"\ntls_config {\ncert_pem = "c"\nkey_pem = "k"\n${tls}\n}\n}`;
    const { file } = parseFile({ name: "test.alloy", text });
    const scope = { name: syslog.name, minimumStability: "generally-available" } as const;
    const { diagnostics } = decodeBody(syslog.args, file.body, { lookup: () => undefined }, scope);
    return diagnostics.map(({ severity, message }) => `${severity}: ${message}`);
  };
  assert.deepEqual(told(""), []);
  for (const each of ['server_name = "a"', "insecure_skip_verify = true"]) {
    assert.match(told(each).join("\n"), /^warning: `tls_config` has .* which have no effect: clients are not asked/m);
  }
});

test("datagrams that the system throws away are counted, and the status says so", async (t) => {
  const { recorder, port, judge, dropped } = await start(t, 'protocol = "udp"', { rules: KEEP_ALL });
  const to = await port();
  await send(to, MODERN("first"));
  const sender = createSocket("udp4");
  cleanUp(t, () => new Promise<void>((resolve) => sender.close(resolve)));
  const burst = Buffer.from(MODERN("x".repeat(500)));
  // All in one turn of the event loop, so that nobody reads meanwhile.
  await Promise.all(
    Array.from({ length: 5_000 }, () => new Promise((resolve) => sender.send(burst, to, "127.0.0.1", resolve))),
  );
  await until(() => dropped("receive_buffer_full") > 0, "packets are lost");
  await until(() => recorder.items.length === 5_001 - dropped("receive_buffer_full"), "the rest is read");
  assert.match(judge().cause, /dropped \d+ messages as receive_buffer_full.* from senders to udp 127.0.0.1:0: /);
});
