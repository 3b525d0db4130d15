import { OtlpIndex } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { asBuffer, ProtoWriter } from "#formats/protobuf";
import { DecisionCache } from "./cache.ts";
import { decideAll, type Tally } from "./decide.ts";
import { SpanGroups } from "./groups.ts";
import { MOST_AT_FIRST, TRACE_ID_BYTES, TraceIdTable } from "./ids.ts";
import { LateSpans } from "./late.ts";
import { SlotLists } from "./lists.ts";
import { type TraceRequest, TraceWriter } from "./output.ts";
import { type Decision, DROPPED, NOT_SAMPLED, SAMPLED } from "./policies.ts";
import type { PolicySet } from "./policy-set.ts";
import { SpanStore } from "./store.ts";
import { PENDING, SLOT_BYTES, Traces } from "./traces.ts";

export interface SamplerLimits {
  /** How many ticks a trace waits from the one after its first span; at least 1. */
  readonly decisionTicks: number;
  /** The same from its root span on, if that is sooner; undefined if the root changes nothing. */
  readonly rootTicks: number | undefined;
  /** Traces that are remembered, decided ones included. */
  readonly traces: number;
  /** Memory for spans and what is known of traces. */
  readonly bytes: number;
  /** Traces of more bytes are not sampled; 0 for no limit. */
  readonly traceBytes: number;
  /** Who sends waits for room (see `hasRoomFor`), instead of the oldest trace going. */
  readonly isBlocking: boolean;
  readonly isFirstMatchEnough: boolean;
  /** Ids of decided traces that are kept beyond their traces. */
  readonly sampledIds: number;
  readonly notSampledIds: number;
}

/** Why a trace went before its decision. */
export type EarlyDrop = "num_traces" | "memory";

/** What the sampler tells of. Ages are in seconds. */
export interface SamplerEvents {
  begun(): void;
  /** A trace is forgotten. */
  removed(ageSeconds: number): void;
  /** A span came after the decision. */
  late(ageSeconds: number): void;
  /** A span's fate was known from a cache. */
  cached(isSampled: boolean): void;
  /** Spans go because their trace is not sampled. */
  notSampled(decision: Decision, spans: number): void;
  tooLarge(spans: number): void;
  droppedEarly(why: EarlyDrop, spans: number): void;
  decided(tally: Tally): void;
}

/** The order in which traces came: those that wait, and those that were decided. */
const WAITING = 0;
const DECIDED = 1;
/** All spans without an id are one trace, as upstream. */
const NO_ID = new Uint8Array(TRACE_ID_BYTES);
const MAX_SIZE = 2 ** 32 - 1;
/** What the tags and lengths of a resource and a scope take, about. */
const FRAME_BYTES = 4;

/**
 * Gathers spans into traces until these are decided, tick by tick. Spans are looked at as they come, so that a decision
 * needs none of them again, and only what is sampled is ever unpacked. Matches
 * processor/tailsamplingprocessor/processor.go with its strategy `trace-complete`.
 */
export class TailSampler {
  #limits: SamplerLimits;
  readonly #events: SamplerEvents;
  readonly #ids: TraceIdTable;
  readonly #traces: Traces;
  readonly #groups = new SpanGroups();
  readonly #store: SpanStore;
  readonly #writer: TraceWriter;
  readonly #late = new LateSpans();
  readonly #order: SlotLists;
  /** Traces that wait, by the tick at which they are due, modulo the number of lists. */
  #wheel: SlotLists;
  #tick = 0;
  readonly #sampled: DecisionCache;
  readonly #notSampled: DecisionCache;
  /** Policy sets by generation; those before the last only as long as traces wait for them. */
  readonly #sets: (PolicySet | undefined)[] = [];
  #generation = -1;
  #waiting = 0;
  readonly #startedAt: number;
  #now = 0;

  /** The request that is being added, and where in it. */
  readonly #index = new OtlpIndex({ isTrusting: true });
  #bytes: Buffer = Buffer.alloc(0);
  #resourceHeader: Uint8Array = NO_ID;
  #scopeHeader: Uint8Array = NO_ID;
  readonly #resourceScratch = new ProtoWriter(256);
  readonly #scopeScratch = new ProtoWriter(256);
  #resource = 0;
  #resourceHits = new Uint32Array(0);
  #group = 0;
  /** Numbers of scopes; those of one request's resource are `#firstScope` and following. */
  #scope = 0;
  #firstScope = 0;
  readonly #resourceRecord = new OtlpRecord();
  readonly #scopeRecord = new OtlpRecord();
  readonly #spanRecord = new OtlpRecord();

  /** `now` is in milliseconds of any steady clock, here and everywhere. */
  constructor(limits: SamplerLimits, set: PolicySet, events: SamplerEvents, now: number, expectedTraces = 0) {
    this.#limits = limits;
    this.#events = events;
    this.#startedAt = now;
    this.#ids = new TraceIdTable(Math.min(limits.traces, Math.max(MOST_AT_FIRST, expectedTraces)));
    const { capacity } = this.#ids;
    this.#traces = new Traces(capacity);
    this.#store = new SpanStore(this.#groups, capacity);
    this.#writer = new TraceWriter(this.#store, this.#groups);
    this.#order = new SlotLists(2, capacity);
    this.#wheel = new SlotLists(limits.decisionTicks + 1, capacity);
    this.#sampled = new DecisionCache(limits.sampledIds);
    this.#notSampled = new DecisionCache(limits.notSampledIds);
    this.usePolicies(set);
  }

  /** Traces that wait for their decision. */
  get waiting(): number {
    return this.#waiting;
  }
  /** Traces that are remembered. */
  get size(): number {
    return this.#ids.size;
  }
  get heldBytes(): number {
    return this.#store.bytes + this.#ids.size * SLOT_BYTES;
  }
  get heldRuns(): number {
    return this.#store.runs;
  }

  /** Takes other limits. Traces that wait keep the time at which they are due. */
  configure(limits: SamplerLimits): void {
    this.#limits = limits;
    this.#sampled.limit = limits.sampledIds;
    this.#notSampled.limit = limits.notSampledIds;
    if (limits.decisionTicks >= this.#wheel.lists) this.#widen(limits.decisionTicks + 1);
  }

  /** Has traces that begin from now on decided by other policies; those that wait keep the ones they began under. */
  usePolicies(set: PolicySet): void {
    const free = this.#sets.indexOf(undefined);
    this.#generation = free < 0 ? this.#sets.length : free;
    this.#sets[this.#generation] = set;
    this.#traces.prepare(set);
    this.#forgetSets();
  }

  /** Whether a request can be added without a trace going for it that waits. Any can once nothing waits. */
  hasRoomFor(part: Uint8Array): boolean {
    if (this.#waiting === 0) return true;
    if (this.heldBytes >= this.#limits.bytes || this.#store.isFull) return false;
    const room = this.#limits.traces - this.#waiting;
    if (room <= 0) return this.#newTraces(part) === 0;
    return this.#newTraces(part) <= room;
  }

  /** Adds a request. Returns those of its spans that need not wait. Throws ProtobufError for what is none, and adds nothing then. */
  add(part: Uint8Array, now: number): TraceRequest | undefined {
    this.#setNow(now);
    const index = this.#index;
    this.#bytes = asBuffer(part);
    index.read("traces", this.#bytes);
    for (let r = 0; r < index.resources; r++) this.#addResource(r);
    index.clear();
    return this.#late.take();
  }

  /**
   * A tick is over: decides the traces that are due. Gives the sampled ones as requests; ask for all of them before the
   * next tick. Spans may be added in between. `epochMs` is what rates by the second of the clock go by.
   */
  *tick(now: number, epochMs: number): Generator<TraceRequest> {
    this.#setNow(now);
    const slots: number[] = [];
    const list = this.#tick % this.#wheel.lists;
    for (let slot = this.#wheel.head(list); slot >= 0; slot = this.#wheel.next(slot)) slots.push(slot);
    this.#tick += 1;
    const startedAt = performance.now();
    const { isFirstMatchEnough } = this.#limits;
    const { decisions, tally } = decideAll(slots, this.#traces, this.#ids, this.#sets, isFirstMatchEnough, epochMs);
    for (const [i, slot] of slots.entries()) this.#settle(slot, decisions[i] as Decision);
    this.#forgetSets();
    tally.ms = performance.now() - startedAt;
    this.#events.decided(tally);
    yield* this.#writer.finish();
  }

  /** Forgets all traces that wait. Returns how many spans they had. */
  dropWaiting(): number {
    let spans = 0;
    for (let slot = this.#order.head(WAITING); slot >= 0; slot = this.#order.head(WAITING)) {
      spans += this.#traces.spans[slot]!;
      this.#remove(slot);
    }
    return spans;
  }

  #setNow(now: number): void {
    this.#now = Math.max(this.#now, Math.floor((now - this.#startedAt) / 100) + 1);
  }

  #addResource(r: number): void {
    const index = this.#index;
    this.#resourceHeader = headerOf(this.#bytes, index.resourceFragments, r, this.#resourceScratch);
    this.#resource = this.#groups.holdResource(this.#resourceHeader);
    this.#firstScope = this.#scope + 1;
    const set = this.#sets[this.#generation]!;
    this.#readResource(set);
    if (this.#resourceHits.length !== set.words) this.#resourceHits = new Uint32Array(set.words);
    this.#resourceHits.set(set.reader.hits);
    for (let s = index.resourceScopes[r]!; s < index.resourceScopes[r + 1]!; s++) {
      this.#scopeHeader = headerOf(this.#bytes, index.scopeFragments, s, this.#scopeScratch);
      this.#scopeRecord.reset(this.#scopeHeader);
      this.#group = this.#groups.hold(this.#resource, this.#scopeHeader);
      // Wraps with the column that it is kept in; 0 is no scope.
      this.#scope = this.#scope === MAX_SIZE ? 1 : this.#scope + 1;
      for (let e = index.scopeEntries[s]!; e < index.scopeEntries[s + 1]!; e++) this.#addSpan(e, r, s);
      this.#groups.release(this.#group);
    }
    this.#groups.releaseResource(this.#resource);
  }
  /** Has a set's reader look at the resource. */
  #readResource({ reader }: PolicySet): void {
    const { length } = this.#resourceHeader;
    this.#resourceRecord.reset(this.#resourceHeader);
    const header = asBuffer(this.#resourceHeader);
    const resource = this.#resourceRecord.has(1) ? asBuffer(this.#resourceRecord.bytes(1)) : header.subarray(length);
    reader.resource(resource, 0, resource.length);
  }

  #addSpan(e: number, r: number, s: number): void {
    const index = this.#index;
    const bytes = this.#bytes;
    const from = index.entryBody[e]!;
    const to = index.entryEnd[e]!;
    const { reader } = this.#sets[this.#generation]!;
    reader.span(bytes, from, to);
    const id = reader.traceId < 0 ? NO_ID : bytes;
    const at = Math.max(0, reader.traceId);
    if (this.#isCached(id, at, e, r, s)) return;
    let slot = this.#ids.find(id, at);
    if (slot < 0) slot = this.#begin(id, at);
    const traces = this.#traces;
    if (traces.state[slot] !== PENDING) {
      this.#addLate(slot, e, r, s);
      return;
    }
    traces.spans[slot]! += 1;
    traces.size[slot] = Math.min(MAX_SIZE, traces.size[slot]! + this.#sizeOf(e, traces.scope[slot]!));
    traces.scope[slot] = this.#scope;
    const { traceBytes, rootTicks } = this.#limits;
    if (traceBytes > 0 && traces.size[slot]! > traceBytes) {
      this.#events.tooLarge(traces.spans[slot]!);
      this.#decide(slot, NOT_SAMPLED);
      return;
    }
    if (reader.isRoot && rootTicks !== undefined) this.#bringForward(slot, this.#tick + rootTicks);
    this.#observe(slot, from, to);
    this.#store.append(slot, this.#group, bytes, from, to);
    while (this.heldBytes > this.#limits.bytes || this.#store.isFull) if (!this.#evict("memory")) break;
  }

  /** The bytes that a span adds to a trace: its own, and the headers if it is the first with them. */
  #sizeOf(e: number, lastScope: number): number {
    let size = this.#index.entryEnd[e]! - this.#index.entryField[e]!;
    if (lastScope === this.#scope) return size;
    size += this.#scopeHeader.length + FRAME_BYTES;
    if (lastScope < this.#firstScope) size += this.#resourceHeader.length + FRAME_BYTES;
    return size;
  }

  #observe(slot: number, from: number, to: number): void {
    const generation = this.#traces.generation[slot]!;
    const set = this.#sets[generation]!;
    if (generation === this.#generation) this.#traces.mark(slot, this.#resourceHits);
    else {
      this.#readResource(set);
      this.#traces.mark(slot, set.reader.hits);
      set.reader.span(this.#bytes, from, to);
    }
    if (set.programs.length > 0) {
      set.context.resourceGroup = this.#resourceRecord;
      set.context.scopeGroup = this.#scopeRecord;
      set.context.span = this.#spanRecord.reset(this.#bytes, from, to);
    }
    this.#traces.observe(slot, set);
  }

  #isCached(id: Uint8Array, at: number, e: number, r: number, s: number): boolean {
    if (this.#sampled.has(id, at)) {
      this.#events.cached(true);
      this.#forward(e, r, s);
      return true;
    }
    if (!this.#notSampled.has(id, at)) return false;
    this.#events.cached(false);
    this.#events.notSampled(NOT_SAMPLED, 1);
    return true;
  }
  #addLate(slot: number, e: number, r: number, s: number): void {
    const { state, decided } = this.#traces;
    if (state[slot] === SAMPLED) this.#forward(e, r, s);
    else this.#events.notSampled(state[slot] as Decision, 1);
    if (decided[slot] !== 0) this.#events.late(Math.floor((this.#now - decided[slot]!) / 10));
  }
  #forward(e: number, r: number, s: number): void {
    const { entryField, entryEnd } = this.#index;
    this.#late.add(this.#bytes, entryField[e]!, entryEnd[e]!, r, this.#resourceHeader, s, this.#scopeHeader);
  }

  /** A slot for a new trace, for which an old one may have to go. */
  #begin(id: Uint8Array, at: number): number {
    while (this.#ids.size >= this.#limits.traces) if (!this.#evict("num_traces")) break;
    const slot = this.#ids.add(id, at);
    const { capacity } = this.#ids;
    this.#traces.grow(capacity);
    this.#store.grow(capacity);
    this.#order.grow(capacity);
    this.#wheel.grow(capacity);
    this.#traces.begin(slot, this.#generation, this.#now);
    this.#sets[this.#generation]!.traces += 1;
    const due = this.#tick + this.#limits.decisionTicks;
    this.#traces.due[slot] = due;
    this.#wheel.append(due % this.#wheel.lists, slot);
    this.#order.append(WAITING, slot);
    this.#waiting += 1;
    this.#events.begun();
    return slot;
  }
  #bringForward(slot: number, due: number): void {
    const before = this.#traces.due[slot]!;
    if (due >= before) return;
    this.#traces.due[slot] = due;
    this.#wheel.remove(before % this.#wheel.lists, slot);
    this.#wheel.append(due % this.#wheel.lists, slot);
  }

  /** A trace was decided by policies. */
  #settle(slot: number, decision: Decision): void {
    this.#traces.decided[slot] = this.#now;
    if (decision === SAMPLED) this.#writer.take(this.#ids, slot, this.#traces.size[slot]!);
    else this.#events.notSampled(decision === DROPPED ? DROPPED : NOT_SAMPLED, this.#traces.spans[slot]!);
    this.#decide(slot, decision);
  }
  /** A trace needs its spans no more. It is forgotten if a cache has its id, and stays for its late spans otherwise. */
  #decide(slot: number, decision: Decision): void {
    this.#stopWaiting(slot);
    this.#traces.state[slot] = decision;
    const cache = decision === SAMPLED ? this.#sampled : this.#notSampled;
    this.#order.append(DECIDED, slot);
    if (cache.add(this.#ids, slot)) this.#remove(slot);
  }
  #stopWaiting(slot: number): void {
    this.#store.release(slot);
    this.#wheel.remove(this.#traces.due[slot]! % this.#wheel.lists, slot);
    this.#order.remove(WAITING, slot);
    this.#sets[this.#traces.generation[slot]!]!.traces -= 1;
    this.#waiting -= 1;
  }
  #remove(slot: number): void {
    if (this.#traces.state[slot] === PENDING) this.#stopWaiting(slot);
    else this.#order.remove(DECIDED, slot);
    this.#ids.remove(slot);
    this.#events.removed(Math.floor((this.#now - this.#traces.arrived[slot]!) / 10));
  }

  /** Forgets the oldest trace: for want of numbers a decided one if there is one, for want of memory one that waits. */
  #evict(why: EarlyDrop): boolean {
    const waiting = this.#order.head(WAITING);
    const decided = this.#order.head(DECIDED);
    const slot = decided >= 0 && (why === "num_traces" || waiting < 0) ? decided : waiting;
    if (slot < 0 || (slot === waiting && why === "num_traces" && this.#limits.isBlocking)) return false;
    if (slot === waiting) this.#events.droppedEarly(why, this.#traces.spans[slot]!);
    this.#remove(slot);
    return true;
  }

  /** Traces in a request that are not known yet. */
  #newTraces(part: Uint8Array): number {
    const bytes = asBuffer(part);
    const index = this.#index;
    index.read("traces", bytes);
    const found = new TraceIdTable(index.entries);
    const { reader } = this.#sets[this.#generation]!;
    for (let e = 0; e < index.entries; e++) {
      reader.span(bytes, index.entryBody[e]!, index.entryEnd[e]!);
      const id = reader.traceId < 0 ? NO_ID : bytes;
      const at = Math.max(0, reader.traceId);
      if (this.#ids.find(id, at) >= 0 || found.find(id, at) >= 0) continue;
      if (this.#sampled.has(id, at) || this.#notSampled.has(id, at)) continue;
      found.add(id, at);
    }
    index.clear();
    return found.size;
  }

  #widen(lists: number): void {
    const wheel = new SlotLists(lists, this.#ids.capacity);
    for (let slot = this.#order.head(WAITING); slot >= 0; slot = this.#order.next(slot)) {
      wheel.append(this.#traces.due[slot]! % lists, slot);
    }
    this.#wheel = wheel;
  }
  #forgetSets(): void {
    for (const [i, set] of this.#sets.entries()) {
      if (i !== this.#generation && set?.traces === 0) this.#sets[i] = undefined;
    }
  }
}

/** All fields of a group beside its members, in one piece. Valid until the scratch writer is used again. */
function headerOf(
  bytes: Buffer,
  { first, ranges }: OtlpIndex["resourceFragments"],
  group: number,
  scratch: ProtoWriter,
): Uint8Array {
  const from = first[group]!;
  const to = first[group + 1]!;
  if (to - from === 1) return bytes.subarray(ranges[from * 2]!, ranges[from * 2 + 1]!);
  scratch.reset();
  for (let f = from; f < to; f++) scratch.raw(bytes, ranges[f * 2]!, ranges[f * 2 + 1]!);
  return scratch.view();
}
