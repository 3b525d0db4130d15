import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import type { Clock } from "#base/clock";
import { ManualClock } from "#base/manual-clock.testing";
import { until } from "#base/until.testing";
import { RELABEL_RULES_CAPSULE, relabelRuleSchema } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { Capsule } from "#lang/value";
import { decodeArguments, recordLogs, startComponent } from "#pipeline/testing";
import { ChunkError, Chunks } from "./chunks.ts";
import gelf from "./loki.source.gelf.ts";

const rulesSchema = s.object({ rule: s.blocks(relabelRuleSchema) });

async function start(t: TestContext, more = "", rules = "", clock?: Clock) {
  const recorder = recordLogs();
  const { rule } = decodeArguments({ name: "rules", args: rulesSchema }, rules);
  const config = (text: string) =>
    `forward_to = [out]\nrelabel_rules = rules\n${/listen_address/.test(text) ? "" : 'listen_address = "127.0.0.1:0"'}\n${text}`;
  const component = await startComponent(gelf, config(more), {
    scope: { out: recorder.value, rules: new Capsule(RELABEL_RULES_CAPSULE, rule) },
    ...(clock && { clock }),
  });
  const socket = createSocket("udp4");
  cleanUp(t, async () => {
    socket.close();
    await component.stop();
  });
  const address = () => (component.instance.debugInfo!() as { listen_address: string }).listen_address;
  const send = async (...datagrams: (string | Uint8Array)[]) => {
    await until(() => address() !== "", "listening");
    const port = Number(address().split(":").at(-1));
    for (const each of datagrams) await new Promise((resolve) => socket.send(each, port, "127.0.0.1", resolve));
  };
  const judge = () => {
    component.flow.judge();
    return component.flow.status;
  };
  const dropped = (reason: string) => component.flow.dropped.get("logs")?.get(reason) ?? 0;
  return { component, recorder, send, judge, dropped, address, config };
}

const message = (short: string) =>
  JSON.stringify({
    version: "1.1",
    host: "h",
    short_message: short,
    timestamp: 1500000000.25,
    level: 5,
    facility: "f",
  });

function chunksOf(bytes: Uint8Array, size: number, id: string): Buffer[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, i) =>
    Buffer.concat([
      Buffer.from([0x1e, 0x0f]),
      Buffer.from(id.padEnd(8)),
      Buffer.from([i, count]),
      bytes.subarray(i * size, (i + 1) * size),
    ]),
  );
}

test("plain, gzip, zlib and in chunks", async (t) => {
  const { component, recorder, send } = await start(t);
  const long = message("x".repeat(5_000));
  const chunks = chunksOf(gzipSync(message("chunked")), 30, "a");
  assert.ok(chunks.length > 2);
  await send(message("plain"), `${message("nul")}\0`, gzipSync(message("gzip")), deflateSync(message("zlib")), long);
  await send(...chunks.toReversed(), chunks[0]!);
  await recorder.waitFor(6);
  const texts = recorder.items.map(({ line }) => (JSON.parse(line) as { short_message: string }).short_message);
  assert.deepEqual(texts, ["plain", "nul", "gzip", "zlib", "x".repeat(5_000), "chunked"]);
  assert.equal(recorder.items[0]!.labels, '{job="loki.source.gelf.test"}');
  assert.ok(Math.abs(recorder.items[0]!.ms - Date.now()) < 60_000);
  await until(() => component.metric("loki_source_gelf_target_entries_total") === 6, "counted");
});

test("labels by rules, which may drop; times of the messages", async (t) => {
  const rules = `rule {\n action = "labelmap"\n regex = "__gelf_(.+)"\n}\nrule {\n action = "drop"\n source_labels = ["message_host"]\n regex = "noise"\n}`;
  const { recorder, send, dropped } = await start(t, "use_incoming_timestamp = true", rules);
  await send('{"host":"noise"}', '{"host":"far","timestamp":1e300}', message("x"));
  await recorder.waitFor(2);
  assert.equal(dropped("relabel_rule"), 1);
  const { labels, ms, ns } = recorder.items[1]!;
  const all = '{message_facility="f", message_host="h", message_level="notice", message_version="1.1"}';
  // Nanoseconds as Go's floats have them.
  assert.deepEqual([labels, ms, ns], [all, 1_500_000_000_249, 999_872]);
});

test("what cannot be read is counted, and the status says why", async (t) => {
  const { component, recorder, send, judge, dropped } = await start(t);
  await send("hello");
  await until(() => dropped("parse_error") === 1, "dropped");
  assert.deepEqual([judge().state, judge().rule], ["failing", "messages_dropped"]);
  assert.match(
    judge().cause,
    /^dropped 1 messages as parse_error in the last 5 min: it is no JSON: .*\(from 127.0.0.1\)$/,
  );
  const bomb = gzipSync(Buffer.alloc(9 * 1024 * 1024, 0x20));
  await send(bomb, gzipSync("x").subarray(0, 12), Buffer.from([0x1e, 0x0f, 1]), message("good"));
  await recorder.waitFor(1);
  assert.equal(dropped("parse_error"), 4);
  assert.equal(component.metric("loki_source_gelf_target_parsing_errors_total"), 4);
  assert.equal(judge().state, "degraded");
});

test("idle until the first message; unhealthy while its port is taken; moves with its address", async (t) => {
  const { component, judge, address, config, send, recorder } = await start(t);
  await until(() => address() !== "", "listening");
  assert.equal(judge().cause, `no message has come to udp ${address()} since the start`);
  const squatter = createSocket("udp4");
  cleanUp(t, () => squatter.close());
  squatter.bind(0, "127.0.0.1");
  await once(squatter, "listening");
  await component.update(config(`listen_address = "127.0.0.1:${squatter.address().port}"`));
  await until(() => component.problem !== undefined, "unhealthy");
  assert.match(component.problem!, /cannot listen on udp 127.0.0.1:\d+: another program listens there/);
  await component.update(config('listen_address = "127.0.0.1:0"'));
  await send(message("x"));
  await recorder.waitFor(1);
  assert.equal(component.problem, undefined);
});

test("what came before a stop is delivered", async (t) => {
  const { component, recorder, send } = await start(t);
  const gate = Promise.withResolvers<void>();
  recorder.gate = () => gate.promise;
  await send(message("x"));
  await until(() => component.flow.sent.get("test.logs")?.waiting === 1, "handed on");
  const stopped = component.stop();
  gate.resolve();
  await stopped;
  assert.equal(recorder.items.length, 1);
});

test("chunks in any order, of several messages at once, make the messages", () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(
      fc.array(bytes, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 20 }),
      fc.infiniteStream(fc.nat()),
      (all, size, order) => {
        const expected = all.map((each) => Buffer.from(each).toString("hex")).sort();
        const queue = all.flatMap((each, i) => chunksOf(each, size, String(i)));
        const shuffled: Buffer[] = [];
        while (queue.length > 0) shuffled.push(...queue.splice(order.next().value! % queue.length, 1));
        const chunks = new Chunks(() => assert.fail("lost"));
        const made = shuffled.flatMap((chunk) => {
          const whole = chunks.add("a", chunk, 0);
          return whole === undefined ? [] : [Buffer.from(whole).toString("hex")];
        });
        assert.deepEqual(made.sort(), expected);
        assert.equal(chunks.bytes, 0);
      },
    ),
  );
});

test("chunks that never complete are given up: after a time, and when they are too many", () => {
  let lost = 0;
  const chunks = new Chunks((messages) => void (lost += messages));
  const [first] = chunksOf(Buffer.alloc(100), 60, "a");
  chunks.add("x", first!, 0);
  chunks.expire(4_999);
  assert.deepEqual([lost, chunks.bytes], [0, 60]);
  chunks.expire(5_000);
  assert.deepEqual([lost, chunks.bytes], [1, 0]);
  const large = Buffer.alloc(120_000);
  for (let i = 0; i < 400; i++) chunks.add("x", chunksOf(large, 60_000, String(i))[0]!, 0);
  assert.ok(chunks.bytes <= 16 * 1024 * 1024);
  assert.ok(lost > 100);
  for (const [index, count] of [
    [0, 0],
    [2, 2],
    [0, 129],
  ] as const) {
    const bad = Buffer.concat([Buffer.from([0x1e, 0x0f]), Buffer.alloc(8, 7), Buffer.from([index, count, 1])]);
    assert.throws(() => chunks.add("x", bad, 0), ChunkError);
  }
});

test("packets that the system throws away are counted, and the status says so", async (t) => {
  const clock = new ManualClock();
  const { recorder, send, judge, dropped, address } = await start(t, "", "", clock);
  await send(message("first"));
  const sender = createSocket("udp4");
  cleanUp(t, () => new Promise<void>((resolve) => sender.close(resolve)));
  const port = Number(address().split(":").at(-1));
  const burst = Buffer.from(message("x".repeat(500)));
  // All in one turn of the event loop, so that nobody reads meanwhile.
  await Promise.all(
    Array.from({ length: 5_000 }, () => new Promise((resolve) => sender.send(burst, port, "127.0.0.1", resolve))),
  );
  clock.advance(5_000);
  await until(() => dropped("receive_buffer_full") > 0, "packets are lost");
  await until(() => recorder.items.length === 5_001 - dropped("receive_buffer_full"), "the rest is read");
  assert.match(judge().cause, /dropped \d+ messages as receive_buffer_full .*: raise its net.core.rmem_max/);
});
