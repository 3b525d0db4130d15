import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { requestFromJson } from "#formats/otlp/json";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort, sleep } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** Sending queues on disk: the backend is away and the agent is killed, and everything that a client got a success for arrives. */

const KILLS = 3;

test("a queue on disk: outage and kill -9 lose nothing that was accepted, and keep the order", async (t) => {
  const port = await freePort();
  const received: number[] = [];
  const sink = await Sink.start((_path, body) => {
    for (const [, number] of Buffer.from(body)
      .toString("latin1")
      .matchAll(/seq=(\d+);/g))
      received.push(Number(number));
  });
  cleanUp(t, () => sink.stop());
  const directory = join(temporaryFolder(t), "queues");
  const copy = join(temporaryFolder(t), "copy.json");
  const agent = await startAgent(
    t,
    `otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    traces = [otelcol.exporter.otlphttp.out.input, otelcol.exporter.file.copy.input]
  }
}
otelcol.exporter.file "copy" {
  path           = "${copy}"
  append         = true
  flush_interval = "20ms"
}
otelcol.storage.file "disk" {
  directory = "${directory}"
}
otelcol.exporter.otlphttp "out" {
  client {
    endpoint    = "${sink.url}"
    compression = "none"
  }
  sending_queue {
    storage       = otelcol.storage.file.disk.handler
    queue_size    = 100000
    num_consumers = 1
  }
  retry_on_failure {
    initial_interval = "50ms"
    max_interval     = "100ms"
    max_elapsed_time = "300ms"
  }
}
`,
    { flags: ["--stability.level=public-preview"] },
  );
  /** Numbers that a client got a success for. What was refused, or not answered, is sent again under a new number. */
  const accepted: number[] = [];
  let next = 0;
  let sending = true;
  const client = (async () => {
    while (sending) {
      const number = next++;
      const body = oracleEncode("traces", {
        resourceSpans: [{ scopeSpans: [{ spans: [{ name: `seq=${number};` }] }] }],
      });
      try {
        const response = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
          method: "POST",
          headers: { "content-type": "application/x-protobuf" },
          body: body as Uint8Array<ArrayBuffer>,
        });
        await response.arrayBuffer();
        if (response.status === 200) accepted.push(number);
      } catch {
        await sleep(20); // the agent is not there
      }
    }
  })();
  cleanUp(t, () => {
    sending = false;
  });
  const arrived = async (count: number, what: string) => {
    const from = received.length;
    await agent.until(() => received.length >= from + count, what);
  };
  for (let kill = 0; kill < KILLS; kill++) {
    await arrived(30, `spans arrive in life ${kill}`);
    sink.answer = () => ({ status: 503 });
    const before = accepted.length;
    await agent.until(() => accepted.length > before + 100, "spans are accepted while the backend is away");
    // Longer than `max_elapsed_time` in all: the outage is not the requests' fault.
    await sleep(kill === 0 ? 700 : Math.random() * 100);
    await agent.kill();
    if (kill % 2 === 0) sink.answer = () => ({ status: 200 });
    await agent.start();
    sink.answer = () => ({ status: 200 });
  }
  await arrived(30, "spans arrive in the last life");
  sending = false;
  await client;
  const distinct = () => new Set(received);
  await agent
    .until(() => accepted.every((number) => distinct().has(number)), "everything accepted has arrived")
    .catch((error) => {
      const seen = distinct();
      throw new Error(`${accepted.filter((number) => !seen.has(number)).length} of ${accepted.length} lost\n${error}`);
    });
  const firsts = [...distinct()];
  assert.deepEqual(
    firsts,
    firsts.toSorted((a, b) => a - b),
    "in order",
  );
  const repeated = received.length - firsts.length;
  // One request is under way at a time, and acknowledgements of the last instant may be lost.
  assert.ok(repeated <= KILLS * 50, `${repeated} repeated`);
  t.diagnostic(`${accepted.length} accepted, ${KILLS} kills, 0 lost, ${repeated} repeated`);
  await agent.untilRule("otelcol.exporter.otlphttp.out", "", "ok");
  assert.equal(await agent.stop(), 0);
  const lines = readFileSync(copy, "utf8").trimEnd().split("\n");
  for (const line of lines) assert.equal(requestFromJson("traces", line).length > 0, true, "lines are whole");
  assert.ok(lines.length > accepted.length / 2, `${lines.length} lines`);
});
