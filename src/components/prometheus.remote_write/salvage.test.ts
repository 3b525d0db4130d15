import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { RequestParts } from "#formats/remote-write/2-parts";
import { readWriteRequest } from "#formats/remote-write/reader";
import { WriteRequestEncoder } from "#formats/remote-write/remote-write";
import { SeriesRegistry } from "#pipeline/series";
import { type Part, Salvage } from "./salvage.ts";

function fragment(count: number): RequestParts {
  const registry = new SeriesRegistry();
  const encoder = new WriteRequestEncoder();
  for (let i = 0; i < count; i++) {
    const ref = registry.intern(
      Labels.from([
        ["__name__", "m"],
        ["i", String(i)],
      ]),
    );
    encoder.sample(registry, ref, 1_000, i, false);
  }
  return new RequestParts([{ version: 1, bytes: Buffer.from(encoder.bytes()) }]);
}

/** A backend that takes a request only if none of its samples is bad; keeps the numbers of those that it took. */
function backend(request: RequestParts, bad: ReadonlySet<number>) {
  const taken: number[] = [];
  const state = { requests: 0 };
  const send = async ({ from, to }: Part) => {
    state.requests += 1;
    const numbers = readWriteRequest(request.write(from, to, 1)).series.map(({ labels }) => Number(labels.get("i")));
    assert.equal(numbers.length, to - from);
    if (numbers.some((each) => bad.has(each))) return false;
    taken.push(...numbers);
    return true;
  };
  return { taken, state, send };
}

test("one bad sample among thousands costs only itself, and is named", async () => {
  const request = fragment(2_000);
  const { taken, state, send } = backend(request, new Set([1_234]));
  const { delivered, culprit } = await new Salvage(() => 0).deliver(request, { from: 0, to: 2_000 }, send);
  assert.equal(delivered, 1_999);
  assert.equal(String(culprit), '{__name__="m", i="1234"}');
  assert.equal(new Set(taken).size, 1_999);
  assert.ok(state.requests <= 26, String(state.requests));
});

test("what was delivered is counted right, nothing twice, whatever is bad", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 300 }),
      fc.array(fc.nat({ max: 299 }), { maxLength: 20 }),
      async (count, list) => {
        const bad = new Set([...list, 0].filter((each) => each < count));
        const request = fragment(count);
        const { taken, state, send } = backend(request, bad);
        const { delivered, culprit } = await new Salvage(() => 0).deliver(request, { from: 0, to: count }, send);
        assert.equal(delivered, taken.length);
        assert.equal(new Set(taken).size, taken.length);
        assert.ok(state.requests <= 26);
        if (culprit !== undefined) assert.ok(bad.has(Number(culprit.get("i"))));
        if (bad.size === 1) assert.equal(delivered, count - 1);
        assert.ok(culprit !== undefined, "the first series that is bad is found before requests run out");
      },
    ),
  );
});

test("a backend that refuses everything is not flooded", async () => {
  let now = 0;
  const salvage = new Salvage(() => now);
  const all = { has: () => true } as unknown as ReadonlySet<number>;
  const request = fragment(100);
  const whole = { from: 0, to: 100 };
  const { state, send } = backend(request, all);
  for (let i = 0; i < 50; i++) await salvage.deliver(request, whole, send);
  assert.ok(state.requests <= 20 * 26, String(state.requests));
  const before = state.requests;
  now += 60_000;
  await salvage.deliver(request, whole, send);
  assert.ok(state.requests > before, "a minute later it is tried again");
});
