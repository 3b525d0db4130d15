import type { OtlpBatch } from "#pipeline/batch";
import { textValue } from "../span-metrics/dimensions.ts";
import { ExplicitHistograms, ExponentialHistograms, type HistogramColumns } from "../span-metrics/histogram.ts";
import { KeyBuffer } from "../span-metrics/key.ts";
import { overflowAttributes, SumColumns } from "../span-metrics/metric.ts";
import { MetricRequests, packAttributes } from "../span-metrics/requests.ts";
import { AttributeRanges, SpanScan, type TraceVisitor, TraceWalk, WantedKeys } from "../span-metrics/scan.ts";
import { MemoryBudget, NO_ROOM, SeriesTable } from "../span-metrics/series.ts";
import { CLIENT, CONNECTION, CONNECTIONS, Edge, FIRST_DIMENSION, PEER, SERVER } from "./edge.ts";
import { EdgeStore, KEY_BYTES } from "./store.ts";

/**
 * Pairs the client's and the server's span of a request and counts such edges by the services at both ends. Matches
 * connector/servicegraphconnector of the Collector; docs of otelcol.connector.servicegraph say where it differs.
 */

const SERVICE_NAME = "service.name";
const SCOPE = "traces_service_graph";
const NAME = "traces_service_graph_request";
const SPAN_KIND = { server: 2, client: 3, producer: 4, consumer: 5 } as const;
const STATUS_ERROR = 2;
const TRACE_ID_BYTES = 16;
/** Series of edges that nobody saw for so long are forgotten. */
const STALE_MS = 15 * 60 * 1000;
const NOBODY = Buffer.alloc(0);
const USER = Buffer.from("user");
const UNKNOWN = Buffer.from("unknown");
const YES = Buffer.from([16, 1]);
const NO = Buffer.from([16, 0]);
const VIRTUAL = ["", "client", "server"] as const;

export interface ServiceGraphOptions {
  /** Bounds in seconds, which rise; exponential buckets without them. */
  readonly bounds: readonly number[] | undefined;
  readonly maxSize: number;
  readonly dimensions: readonly string[];
  readonly maxEdges: number;
  readonly ttlMs: number;
  /** Attributes that name a server that sends no spans; no virtual nodes without any. */
  readonly peerAttributes: readonly string[];
  readonly hasVirtualLabel: boolean;
  readonly databaseAttributes: readonly string[];
  /** What waiting edges and series may take together, in bytes. */
  readonly memoryLimit: number;
}

/** Why spans became part of no edge. */
type ServiceGraphDropReason = "no_service_name" | "edge_store_full";
/** The same, or why an edge was counted in the series of overflow. */
export type ServiceGraphLoss = ServiceGraphDropReason | "overflow_memory";

export class ServiceGraph implements TraceVisitor {
  /** Edges that were made, and those of them whose time was over before the other half came. */
  edges = 0;
  expired = 0;
  /** Spans that belong to no edge in a full store. */
  dropped = 0;
  readonly losses = new Map<ServiceGraphLoss, number>();
  readonly budget: MemoryBudget;
  readonly #options: ServiceGraphOptions;
  readonly #store: EdgeStore;
  readonly #edge: Edge;
  readonly #edgeKey = Buffer.alloc(KEY_BYTES);
  readonly #serviceSlot: number;
  readonly #databaseSlots: readonly number[];
  readonly #peerSlots: readonly number[];
  readonly #dimensionSlots: readonly number[];
  readonly #resource: AttributeRanges;
  readonly #walk: TraceWalk;
  readonly #span: SpanScan;
  readonly #key = new KeyBuffer();
  readonly #overflowKey = new KeyBuffer();
  readonly #sums = new SumColumns();
  readonly #clientSeconds: HistogramColumns;
  readonly #serverSeconds: HistogramColumns;
  readonly #table: SeriesTable;
  readonly #requests = new MetricRequests(SCOPE, false);
  #overflow = -1;
  /** Since when series count: no series that is made now was there at that time. */
  #since: number;
  #now = 0;
  #sinceFlush = 0;

  constructor(options: ServiceGraphOptions, now: number) {
    const { dimensions, peerAttributes, databaseAttributes, bounds, maxSize } = options;
    this.#options = options;
    this.#since = now;
    this.budget = new MemoryBudget(options.memoryLimit);
    const wanted = new WantedKeys([SERVICE_NAME, ...dimensions, ...peerAttributes, ...databaseAttributes]);
    const slots = (names: readonly string[]) => names.map((name) => wanted.names.indexOf(name));
    this.#serviceSlot = wanted.names.indexOf(SERVICE_NAME);
    this.#dimensionSlots = slots(dimensions);
    this.#peerSlots = slots(peerAttributes);
    this.#databaseSlots = slots(databaseAttributes);
    this.#resource = new AttributeRanges(wanted, false);
    this.#walk = new TraceWalk(this.#resource);
    this.#span = new SpanScan(new AttributeRanges(wanted, false));
    this.#edge = new Edge(dimensions.length);
    this.#store = new EdgeStore(options.maxEdges, options.ttlMs, this.#edge.texts, this.budget);
    const histogram = () =>
      bounds === undefined ? new ExponentialHistograms(maxSize, this.budget) : new ExplicitHistograms(bounds);
    this.#clientSeconds = histogram();
    this.#serverSeconds = histogram();
    this.#table = new SeriesTable(this.budget, [this.#sums, this.#clientSeconds, this.#serverSeconds]);
  }

  get isPending(): boolean {
    return this.#sinceFlush > 0;
  }
  /** Halves of edges that wait for the other one. */
  get waiting(): number {
    return this.#store.size;
  }
  get series(): number {
    return this.#table.size;
  }

  /** Takes the spans of a request. Throws ProtobufError for what is none. */
  add(request: Uint8Array, now: number): void {
    this.#now = now;
    this.#walk.run(request, this);
  }

  enterResource(): boolean {
    return this.#resource.slots[this.#serviceSlot * 2]! >= 0;
  }
  leftOut(spans: number): void {
    this.#lose("no_service_name", spans);
  }
  enterScope(): void {}

  span(bytes: Buffer, body: number, end: number): void {
    const span = this.#span;
    span.read(bytes, body, end);
    const { kind } = span;
    const isClient = kind === SPAN_KIND.client || kind === SPAN_KIND.producer;
    if (!isClient && kind !== SPAN_KIND.server && kind !== SPAN_KIND.consumer) return;
    this.#setKey(bytes, isClient ? span.spanId : span.parentSpanId);
    const edge = this.#edge;
    const id = this.#store.find(this.#edgeKey);
    if (id >= 0) this.#store.read(id, edge);
    else edge.clear();
    const isMessaging = kind === SPAN_KIND.producer || kind === SPAN_KIND.consumer;
    edge.connection = isMessaging ? CONNECTION.messaging : CONNECTION.unknown;
    edge.isFailed ||= span.statusCode === STATUS_ERROR;
    this.#addDimensions(bytes, isClient ? 0 : 1);
    if (isClient) this.#addClient(bytes);
    else {
      this.#setText(SERVER, bytes, this.#resource, this.#serviceSlot);
      edge.serverSeconds = span.nanoseconds / 1e9;
    }
    if (edge.isComplete) {
      if (id < 0) this.edges += 1;
      this.#count(0);
      if (id >= 0) this.#store.remove(id);
    } else if (id >= 0) {
      if (!this.#store.put(id, edge)) this.#drop();
    } else if (this.#store.add(this.#edgeKey, edge, this.#now)) this.edges += 1;
    else this.#drop();
  }

  #drop(): void {
    this.dropped += 1;
    this.#lose("edge_store_full", 1);
  }
  #lose(reason: ServiceGraphLoss, spans: number): void {
    if (spans > 0) this.losses.set(reason, (this.losses.get(reason) ?? 0) + spans);
  }

  #setKey(bytes: Buffer, spanId: number): void {
    const { traceId } = this.#span;
    const key = this.#edgeKey;
    if (traceId < 0) key.fill(0, 0, TRACE_ID_BYTES);
    else bytes.copy(key, 0, traceId, traceId + TRACE_ID_BYTES);
    if (spanId < 0) key.fill(0, TRACE_ID_BYTES);
    else bytes.copy(key, TRACE_ID_BYTES, spanId, spanId + 8);
  }

  /** What a client's span says: the service, the peer, and the database, which sends no span of its own. */
  #addClient(bytes: Buffer): void {
    const span = this.#span;
    const edge = this.#edge;
    this.#setText(CLIENT, bytes, this.#resource, this.#serviceSlot);
    edge.clientSeconds = span.nanoseconds / 1e9;
    for (let rank = 0; rank < this.#peerSlots.length; rank++) {
      const slot = this.#peerSlots[rank]!;
      if (span.attributes.slots[slot * 2]! < 0) continue;
      if (!edge.has(PEER) || rank <= edge.peerRank) {
        this.#setText(PEER, bytes, span.attributes, slot);
        edge.peerRank = rank;
      }
      break;
    }
    for (let i = 0; i < this.#databaseSlots.length; i++) {
      const slot = this.#databaseSlots[i]!;
      const holder = this.#holderOf(slot);
      if (holder === undefined) continue;
      edge.connection = CONNECTION.database;
      this.#setText(SERVER, bytes, holder, slot);
      edge.serverSeconds = edge.clientSeconds;
      return;
    }
  }

  #addDimensions(bytes: Buffer, side: 0 | 1): void {
    for (let i = 0; i < this.#dimensionSlots.length; i++) {
      const slot = this.#dimensionSlots[i]!;
      const holder = this.#holderOf(slot);
      if (holder !== undefined) this.#setText(FIRST_DIMENSION + 2 * i + side, bytes, holder, slot);
    }
  }

  /** Who has an attribute: the resource before the span. */
  #holderOf(slot: number): AttributeRanges | undefined {
    if (this.#resource.slots[slot * 2]! >= 0) return this.#resource;
    return this.#span.attributes.slots[slot * 2]! >= 0 ? this.#span.attributes : undefined;
  }
  #setText(text: number, bytes: Buffer, { slots }: AttributeRanges, slot: number): void {
    this.#edge.setValue(text, bytes, slots[slot * 2]!, slots[slot * 2 + 1]!);
  }

  /** Gives up edges whose other half did not come in time: its service sends no spans, and is a virtual node. */
  expire(now: number): void {
    const edge = this.#edge;
    const { peerAttributes } = this.#options;
    this.#now = now;
    for (let id = this.#store.overdue(now); id >= 0; id = this.#store.overdue(now)) {
      this.expired += 1;
      if (peerAttributes.length > 0) {
        this.#store.read(id, edge);
        edge.connection = CONNECTION.virtual;
        if (edge.length(CLIENT) <= 0 && this.#store.isRoot(id)) {
          edge.set(CLIENT, USER, 0, USER.length);
          this.#count(1);
        }
        if (edge.length(SERVER) <= 0) {
          if (edge.has(PEER)) edge.set(SERVER, edge.source(PEER), edge.from(PEER), edge.to(PEER));
          else edge.set(SERVER, UNKNOWN, 0, UNKNOWN.length);
          this.#count(2);
        }
      }
      this.#store.remove(id);
    }
  }

  /** Counts the present edge; `virtual` says which of its ends is made up: none, the client, the server. */
  #count(virtual: 0 | 1 | 2): void {
    const edge = this.#edge;
    const key = this.#key;
    key.reset();
    const told = this.#options.hasVirtualLabel ? virtual : 0;
    key.byte(edge.connection * 8 + told * 2 + (edge.isFailed ? 1 : 0));
    for (let i = 0; i < edge.texts; i++) {
      if (i === PEER) continue;
      // A name that is missing is an empty label; a dimension that is missing is none.
      if (i < PEER && !edge.has(i)) edge.set(i, NOBODY, 0, 0);
      key.byte(edge.has(i) ? 1 : 0);
      if (edge.has(i)) key.part(edge.source(i), edge.from(i), edge.to(i));
    }
    const hash = key.hash();
    let id = this.#table.find(key, hash);
    if (id < 0) id = this.#newSeries(hash, virtual);
    this.#table.lastSeen[id] = this.#now;
    this.#sums.add(id, 1);
    this.#serverSeconds.observe(id, edge.serverSeconds, 1);
    this.#clientSeconds.observe(id, edge.clientSeconds, 1);
    this.#sinceFlush += 1;
  }

  #newSeries(hash: number, virtual: 0 | 1 | 2): number {
    let id = this.#table.add(this.#key, hash, packAttributes(this.#describe(virtual)), this.#now, false);
    if (id === NO_ROOM) {
      this.#lose("overflow_memory", 1);
      if (this.#overflow >= 0) return this.#overflow;
      id = this.#overflow = this.#table.add(this.#overflowKey, 0, overflowAttributes, this.#now, true);
    }
    this.#table.start[id] = this.#since;
    return id;
  }

  *#describe(virtual: 0 | 1 | 2): Generator<{ readonly name: Buffer; readonly value: Buffer }> {
    const edge = this.#edge;
    const { dimensions, hasVirtualLabel } = this.#options;
    const label = (name: string, value: Buffer) => ({ name: Buffer.from(name), value });
    const text = (i: number) => (edge.has(i) ? edge.source(i).subarray(edge.from(i), edge.to(i)) : "");
    yield label("client", textValue(text(CLIENT)));
    yield label("server", textValue(text(SERVER)));
    yield label("connection_type", textValue(CONNECTIONS[edge.connection]!));
    yield label("failed", edge.isFailed ? YES : NO);
    for (const [i, name] of dimensions.entries()) {
      const own = FIRST_DIMENSION + 2 * i;
      if (dimensions.indexOf(name) !== i) continue;
      if (edge.has(own)) yield label(`client_${name}`, textValue(text(own)));
      if (edge.has(own + 1)) yield label(`server_${name}`, textValue(text(own + 1)));
    }
    if (hasVirtualLabel) yield label("virtual_node", textValue(VIRTUAL[virtual]));
  }

  /** Forgets series that nobody counted in for long. */
  forgetStale(now: number): void {
    if (this.#table.removeIf((id) => this.#table.lastSeen[id]! + STALE_MS < now) === 0) return;
    // A series that comes again counts from zero, and so must not claim to count since before.
    this.#since = now;
    if (this.#overflow >= 0 && !this.#table.has(this.#overflow)) this.#overflow = -1;
  }

  /** The metrics as they are, for the time `now` (epoch ms), one request at a time: spans may come in between. */
  *flush(now: number): Generator<OtlpBatch> {
    const requests = this.#requests;
    this.#sinceFlush = 0;
    try {
      requests.metric(`${NAME}_total`, "", "number");
      yield* this.#writePoints(this.#sums, now, false);
      requests.metric(`${NAME}_failed_total`, "", "number");
      yield* this.#writePoints(this.#sums, now, true);
      requests.metric(`${NAME}_server`, "s", this.#serverSeconds.kind);
      yield* this.#writePoints(this.#serverSeconds, now, false);
      requests.metric(`${NAME}_client`, "s", this.#clientSeconds.kind);
      yield* this.#writePoints(this.#clientSeconds, now, false);
      const last = requests.take();
      if (last !== undefined) yield last;
    } finally {
      requests.reset();
    }
  }

  *#writePoints(columns: SumColumns | HistogramColumns, now: number, onlyFailed: boolean): Generator<OtlpBatch> {
    const requests = this.#requests;
    const table = this.#table;
    for (let id = 0; id < table.limit; id++) {
      if (!table.has(id)) continue;
      // The lowest bit of a key says whether its edges failed.
      if (onlyFailed && (id === this.#overflow || (table.keyStart(id) & 1) === 0)) continue;
      const mark = requests.beginPoint(table, id, table.start[id]!, now);
      columns.write(requests.writer, id);
      if (requests.endPoint(mark)) yield requests.take()!;
    }
  }
}
