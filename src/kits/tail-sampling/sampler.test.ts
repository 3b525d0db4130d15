import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import { OttlContext } from "../ottl/context.ts";
import { equalsAnyTest } from "./conditions.ts";
import { always, condition, every, NOT_SAMPLED, SAMPLED, spanCount } from "./policies.ts";
import { PolicySet } from "./policy-set.ts";
import { type SamplerEvents, type SamplerLimits, TailSampler } from "./sampler.ts";

const LIMITS: SamplerLimits = {
  decisionTicks: 3,
  rootTicks: undefined,
  traces: 1000,
  bytes: 2 ** 40,
  traceBytes: 0,
  isBlocking: false,
  isFirstMatchEnough: false,
  sampledIds: 0,
  notSampledIds: 0,
};

function record() {
  const counts = { begun: 0, removed: 0, late: 0, cached: 0, notSampled: 0, tooLarge: 0, early: 0, sampled: 0, not: 0 };
  const events: SamplerEvents = {
    begun: () => void (counts.begun += 1),
    removed: () => void (counts.removed += 1),
    late: () => void (counts.late += 1),
    cached: () => void (counts.cached += 1),
    notSampled: (_, spans) => void (counts.notSampled += spans),
    tooLarge: (spans) => void (counts.tooLarge += spans),
    droppedEarly: (_, spans) => void (counts.early += spans),
    decided: ({ decisions }) => {
      counts.sampled += decisions[SAMPLED]!;
      counts.not += decisions[NOT_SAMPLED]!;
    },
  };
  return { counts, events };
}

/** Traces with an attribute, or of at least four spans that are not from the service `noise`. */
function policies(): PolicySet {
  const conditions = [
    { kind: "attribute", test: equalsAnyTest("keep", ["yes"]) },
    { kind: "attribute", test: equalsAnyTest("service.name", ["noise"]) },
  ] as const;
  return new PolicySet(
    [
      { name: "kept", isDrop: false, decide: condition(0) },
      { name: "large", isDrop: false, decide: every([spanCount(4, 0), condition(1, true)]) },
    ],
    conditions,
    new OttlContext(),
  );
}
const everything = () => new PolicySet([{ name: "all", isDrop: false, decide: always }], [], new OttlContext());

interface Span {
  readonly trace: number;
  readonly service: string;
  readonly scope: string;
  readonly isKept: boolean;
}
const spans = fc.array(
  fc.record({
    trace: fc.nat(8),
    service: fc.constantFrom("shop", "noise", "gateway"),
    scope: fc.constantFrom("http", "pg"),
    isKept: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  { maxLength: 60 },
);

function request(list: readonly (Span & { readonly number: number })[]): Buffer {
  const resourceSpans = list.map(({ trace, service, scope, isKept, number }) => ({
    resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] },
    scopeSpans: [
      {
        scope: { name: scope },
        spans: [
          {
            traceId: Buffer.alloc(16, trace + 1),
            spanId: Buffer.alloc(8, number + 1),
            name: `${number}`,
            attributes: isKept ? [{ key: "keep", value: { stringValue: "yes" } }] : [],
          },
        ],
      },
    ],
  }));
  return oracleEncode("traces", { resourceSpans });
}
function wanted(list: readonly Span[]): Set<number> {
  const traces = Map.groupBy(list, ({ trace }) => trace);
  const isSampled = (all: readonly Span[]) =>
    all.some(({ isKept }) => isKept) || (all.length >= 4 && !all.some(({ service }) => service === "noise"));
  return new Set([...traces].filter(([, all]) => isSampled(all)).map(([trace]) => trace));
}

test("a trace cut over any requests in any order gets one decision, comes out whole, and leaves nothing behind", () => {
  fc.assert(
    fc.property(spans, fc.array(fc.nat(60)), (given, cuts) => {
      const list = given.map((span, number) => ({ ...span, number }));
      const { counts, events } = record();
      const sampler = new TailSampler(LIMITS, policies(), events, 0);
      const bounds = [...new Set([0, ...cuts.filter((cut) => cut < list.length), list.length])].sort((a, b) => a - b);
      for (let i = 0; i + 1 < bounds.length; i++) {
        assert.equal(sampler.add(request(list.slice(bounds[i], bounds[i + 1])), 0), undefined);
      }
      const traces = new Set(list.map(({ trace }) => trace)).size;
      assert.equal(counts.begun, traces);
      const found: string[] = [];
      for (let tick = 1; tick <= 4; tick++) {
        assert.equal(sampler.waiting, traces);
        for (const { bytes } of sampler.tick(tick * 1000, tick * 1000)) found.push(...itemsOf("traces", bytes));
      }
      const expected = wanted(list);
      const kept = list.filter(({ trace }) => expected.has(trace));
      assert.deepEqual(found.sort(), itemsOf("traces", request(kept)).sort());
      assert.deepEqual([counts.sampled, counts.not], [expected.size, traces - expected.size]);
      assert.equal(counts.notSampled, list.length - kept.length);
      assert.deepEqual([sampler.waiting, sampler.heldRuns], [0, 0]);
      // What is decided stays for late spans, until there is no room.
      assert.equal(sampler.size, traces);
      sampler.configure({ ...LIMITS, traces: 1 });
      sampler.add(request([{ trace: 100, service: "shop", scope: "http", isKept: false, number: 0 }]), 5000);
      assert.deepEqual([sampler.size, sampler.dropWaiting(), sampler.size, sampler.heldBytes], [1, 1, 0, 0]);
    }),
    { numRuns: 60 },
  );
});

test("with too little room the oldest go, each is counted once, and nothing is left of them", () => {
  fc.assert(
    fc.property(spans, fc.integer({ min: 1, max: 4 }), fc.boolean(), (given, room, isCached) => {
      const { counts, events } = record();
      const ids = isCached ? 3 : 0;
      const limits = { ...LIMITS, decisionTicks: 1, traces: room, sampledIds: ids, notSampledIds: ids };
      const sampler = new TailSampler(limits, everything(), events, 0);
      let out = 0;
      for (const [number, span] of given.entries()) {
        out += sampler.add(request([{ ...span, number }]), number * 300)?.spans ?? 0;
        assert.ok(sampler.size <= room && sampler.waiting <= sampler.size);
        if (number % 7 !== 6) continue;
        for (const { spans: count } of sampler.tick(number * 300, 0)) out += count;
      }
      while (sampler.waiting > 0) for (const { spans: count } of sampler.tick(60_000, 0)) out += count;
      assert.equal(out + counts.early + counts.notSampled, given.length);
      assert.equal(counts.begun - counts.removed, sampler.size);
      assert.equal(sampler.heldRuns, 0);
    }),
    { numRuns: 60 },
  );
});

const one = (trace: number, number = 0): Buffer =>
  request([{ trace, service: "shop", scope: "http", isKept: false, number }]);

test("memory is bounded by the oldest traces", () => {
  const { counts, events } = record();
  const sampler = new TailSampler({ ...LIMITS, bytes: 25_000 }, everything(), events, 0);
  for (let i = 0; i < 250; i++) {
    sampler.add(one(i), 0);
    assert.ok(sampler.heldBytes <= 25_000);
  }
  assert.ok(counts.early > 50 && counts.early === 250 - sampler.waiting, `${counts.early} went`);
});

test("who sends can be made to wait for room, and never forever", () => {
  const { counts, events } = record();
  const limits = { ...LIMITS, decisionTicks: 1, traces: 2, isBlocking: true };
  const sampler = new TailSampler(limits, everything(), events, 0);
  const two = Buffer.concat([one(1), one(2, 1)]);
  assert.ok(sampler.hasRoomFor(two));
  sampler.add(two, 0);
  assert.ok(sampler.hasRoomFor(one(1, 2)), "a trace that is known needs no room");
  assert.ok(!sampler.hasRoomFor(one(3)));
  for (let tick = 1; tick <= 2; tick++) for (const _ of sampler.tick(tick * 1000, 0));
  assert.equal(sampler.size, 2);
  assert.ok(sampler.hasRoomFor(two) && sampler.hasRoomFor(one(3)), "decided traces make room");
  assert.ok(sampler.hasRoomFor(Buffer.concat([one(4), one(5, 1), one(6, 2)])), "nothing waits: it would be no use");
  sampler.add(one(3), 3000);
  assert.deepEqual([sampler.size, counts.early], [2, 0]);
});

test("new policies are for new traces; those that wait keep the ones they began under", () => {
  const { counts, events } = record();
  const sampler = new TailSampler(LIMITS, policies(), events, 0);
  sampler.add(one(1), 0);
  sampler.usePolicies(everything());
  sampler.add(one(2, 1), 0);
  const kept = { service: "shop", scope: "http", isKept: true, number: 2 };
  sampler.add(request([{ ...kept, trace: 3 }]), 0);
  sampler.usePolicies(policies());
  sampler.add(request([{ ...kept, trace: 4 }]), 0);
  sampler.add(request([{ ...kept, trace: 1 }]), 0);
  const out: number[] = [];
  for (let tick = 1; tick <= 4; tick++) for (const { spans: count } of sampler.tick(tick * 1000, 0)) out.push(count);
  assert.deepEqual(out, [5], "four traces, one of two spans");
  assert.deepEqual([counts.sampled, counts.not], [4, 0]);
});

test("decisions are kept beyond the traces once a reload asks for it", () => {
  const { counts, events } = record();
  const limits = { ...LIMITS, decisionTicks: 1, traces: 1 };
  const sampler = new TailSampler(limits, everything(), events, 0);
  sampler.configure({ ...limits, sampledIds: 5 });
  for (let trace = 1; trace <= 3; trace++) {
    sampler.add(one(trace), trace * 10_000);
    for (let tick = 1; tick <= 2; tick++) for (const _ of sampler.tick(trace * 10_000 + tick * 1000, 0));
  }
  assert.equal(sampler.add(one(1, 9), 60_000)?.spans, 1, "a late span of the first trace goes on at once");
  assert.equal(counts.cached, 1);
});

test("a longer wait is for new traces, and none is lost on the way", () => {
  const { events } = record();
  const sampler = new TailSampler({ ...LIMITS, decisionTicks: 1 }, everything(), events, 0);
  sampler.add(one(1), 0);
  sampler.configure({ ...LIMITS, decisionTicks: 5 });
  sampler.add(one(2), 0);
  const ticks: number[] = [];
  for (let tick = 1; tick <= 7; tick++) for (const _ of sampler.tick(tick * 1000, 0)) ticks.push(tick);
  assert.deepEqual(ticks, [2, 6]);
});
