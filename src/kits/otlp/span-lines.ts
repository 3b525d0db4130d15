import { EVENT, GROUP, LOG, RESOURCE, SPAN, STATUS } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { type AnyValue, AttributeKey, type KeyValues, writeKeyValue } from "#formats/otlp/values";
import { members, resourceGroups } from "#formats/otlp/walk";
import { ProtoWriter } from "#formats/protobuf";
import { idText } from "./id-text.ts";
import { logfmtLine } from "./logfmt.ts";

export interface SpanLinesOptions {
  readonly spans: boolean;
  readonly roots: boolean;
  readonly processes: boolean;
  readonly events: boolean;
  readonly spanAttributes: readonly string[];
  readonly processAttributes: readonly string[];
  readonly eventAttributes: readonly string[];
  /** Keys of lines that become attributes too. */
  readonly labels: readonly string[];
  readonly keys: {
    readonly kind: string;
    readonly service: string;
    readonly span: string;
    readonly status: string;
    readonly duration: string;
    readonly trace: string;
  };
}

/** ResourceLogs in a request. */
const RESOURCE_GROUPS = 1;
const SERVICE_NAME = new AttributeKey("service.name");
const STATUS_NAMES = ["Unset", "Ok", "Error"];

type Pairs = Map<string, AnyValue>;

/**
 * Writes a log record in logfmt for spans, roots, processes and events of a request. Matches consumer.go of
 * internal/component/otelcol/connector/spanlogs of Alloy, but goes on after a span of which nothing is logged, where Alloy
 * leaves out the rest of its scope, and leaves out groups without a record.
 */
export class SpanLines {
  readonly #options: SpanLinesOptions;
  readonly #labels: ReadonlySet<string>;
  readonly #spanKeys: readonly AttributeKey[];
  readonly #processKeys: readonly AttributeKey[];
  readonly #eventKeys: readonly AttributeKey[];
  readonly #request = new OtlpRecord();
  readonly #span = new OtlpRecord();
  readonly #event = new OtlpRecord();
  readonly #writer = new ProtoWriter(16 * 1024);
  #records = 0;

  constructor(options: SpanLinesOptions) {
    this.#options = options;
    this.#labels = new Set(options.labels);
    this.#spanKeys = options.spanAttributes.map((key) => new AttributeKey(key));
    this.#processKeys = options.processAttributes.map((key) => new AttributeKey(key));
    this.#eventKeys = options.eventAttributes.map((key) => new AttributeKey(key));
  }

  /** The logs of a request of traces; undefined for none. Throws ProtobufError and LogfmtKeyError. */
  convert(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly items: number } | undefined {
    const writer = this.#writer;
    writer.reset();
    this.#records = 0;
    const parts: Uint8Array[] = [];
    const groups = resourceGroups(this.#request.reset(bytes));
    for (let r = 0; r < groups.length; r++) {
      const group = groups.at(r);
      const attributes = group.record(GROUP.resource).map(RESOURCE.attributes);
      const name = attributes.get(SERVICE_NAME);
      const service = typeof name === "string" ? name : "";
      const scopes = members(group);
      for (let s = 0; s < scopes.length; s++) {
        const before = this.#records;
        writer.reset();
        const resource = writer.begin(RESOURCE_GROUPS);
        writer.bytes(GROUP.resource, NOTHING);
        const scope = writer.begin(GROUP.members);
        writer.bytes(GROUP.scope, NOTHING);
        this.#scope(scopes.at(s), attributes, service);
        writer.end(scope);
        writer.end(resource);
        if (this.#records > before) parts.push(writer.finish());
      }
    }
    return this.#records === 0 ? undefined : { bytes: Buffer.concat(parts), items: this.#records };
  }

  #scope(group: OtlpRecord, resource: KeyValues, service: string): void {
    const { keys, spans, roots, processes, events } = this.#options;
    const list = members(group);
    let lastTrace: string | undefined;
    for (let i = 0; i < list.length; i++) {
      const span = list.borrow(i, this.#span);
      const trace = idText(span.bytes(SPAN.traceId));
      const isRoot = roots && idText(span.bytes(SPAN.parentSpanId)) === "";
      if (processes && trace !== (lastTrace ?? "")) {
        const pairs: Pairs = new Map();
        this.#addProcess(pairs, resource, service);
        pairs.set(keys.trace, trace);
        lastTrace = trace;
        this.#write("process", pairs);
      }
      if (!spans && !isRoot && !events) continue;
      const pairs: Pairs = new Map();
      this.#addSpan(pairs, span);
      this.#addProcess(pairs, resource, service);
      pairs.set(keys.trace, trace);
      if (spans) this.#write("span", pairs);
      if (isRoot) this.#write("root", pairs);
      if (events) this.#writeEvents(pairs, span);
    }
  }

  #addSpan(pairs: Pairs, span: OtlpRecord): void {
    const { keys } = this.#options;
    pairs.set(keys.span, span.text(SPAN.name));
    pairs.set(keys.duration, `${BigInt.asIntN(64, span.fixed64(SPAN.end) - span.fixed64(SPAN.start))}ns`);
    const code = span.record(SPAN.status).int32(STATUS.code);
    if (code !== 0) pairs.set(keys.status, STATUS_NAMES[code] ?? "");
    if (this.#spanKeys.length > 0) copy(this.#spanKeys, span.map(SPAN.attributes), pairs);
  }
  #addProcess(pairs: Pairs, resource: KeyValues, service: string): void {
    pairs.set(this.#options.keys.service, service);
    copy(this.#processKeys, resource, pairs);
  }
  #writeEvents(pairs: Pairs, span: OtlpRecord): void {
    const events = span.list(SPAN.events);
    for (let i = 0; i < events.length; i++) {
      const own: Pairs = new Map(pairs);
      copy(this.#eventKeys, events.borrow(i, this.#event).map(EVENT.attributes), own);
      this.#write("event", own);
    }
  }

  #write(kind: string, pairs: Pairs): void {
    const writer = this.#writer;
    const attributes: Pairs = new Map([[this.#options.keys.kind, kind]]);
    for (const [key, value] of pairs) if (this.#labels.has(key)) attributes.set(key, value);
    const record = writer.begin(GROUP.members);
    const body = writer.begin(LOG.body);
    writer.string(1, logfmtLine(pairs));
    writer.end(body);
    for (const [key, value] of attributes) writeKeyValue(writer, LOG.attributes, key, value);
    writer.end(record);
    this.#records += 1;
  }
}

const NOTHING = new Uint8Array(0);

function copy(keys: readonly AttributeKey[], from: KeyValues, to: Pairs): void {
  for (const key of keys) {
    const at = from.find(key);
    if (at >= 0) to.set(key.text, from.valueAt(at));
  }
}
