import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { WorkerPool } from "./worker-pool.ts";

/** Answers with what it is told and how many channels it has; ends when it is told to. */
const PROGRAM = `
import { parentPort } from "node:worker_threads";
import { serveChannels } from ${JSON.stringify(new URL("./worker-pool.ts", import.meta.url).href)};
let open = 0;
serveChannels(parentPort, new Map([["echo", (setup, post) => {
  open += 1;
  return {
    received(body) {
      if (body === "fail") throw new Error("told to fail");
      post([setup, body, open]);
    },
    close() { open -= 1; },
  };
}]]));
`;

function start() {
  const started: Worker[] = [];
  const pool = new WorkerPool(2, () => {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(PROGRAM)}`));
    started.push(worker);
    return worker;
  });
  return { pool, started };
}

function channel(pool: WorkerPool, index: number, setup: string) {
  const received: unknown[] = [];
  const died: string[] = [];
  let changed = () => {};
  const opened = pool.open(index, "echo", setup, {
    received: (body) => {
      received.push(body);
      changed();
    },
    died: (cause) => {
      died.push(cause);
      changed();
    },
  });
  const next = () => new Promise<void>((resolve) => (changed = resolve));
  return { ...opened, received, died, next };
}

test("threads start with their first channel and end with the last", async () => {
  const { pool, started } = start();
  assert.equal(pool.running, 0);
  const a = channel(pool, 0, "a");
  const b = channel(pool, 0, "b");
  assert.equal(started.length, 1);
  a.post("one");
  await a.next();
  assert.deepEqual(a.received, [["a", "one", 2]]);
  const ended = once(started[0]!, "exit");
  a.close();
  b.post("two");
  await b.next();
  assert.deepEqual(b.received, [["b", "two", 1]]);
  b.close();
  b.close();
  await ended;
  assert.equal(pool.running, 0);
  assert.deepEqual([a.died, b.died], [[], []]);
});

test("a thread that fails tells its channels why, and the next channel gets a new one", async () => {
  const { pool, started } = start();
  const a = channel(pool, 1, "a");
  const other = channel(pool, 0, "other");
  a.post("fail");
  await a.next();
  assert.deepEqual(a.died, ["told to fail"]);
  assert.equal(pool.running, 1);
  a.close(); // has no effect any more
  const again = channel(pool, 1, "again");
  again.post("one");
  await again.next();
  assert.deepEqual(again.received, [["again", "one", 1]]);
  assert.equal(started.length, 3);
  await pool.close();
  assert.equal(pool.running, 0);
  assert.deepEqual([again.died, other.died], [[], []]);
});
