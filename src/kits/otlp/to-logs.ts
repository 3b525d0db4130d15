import { Labels } from "#base/labels";
import { GROUP, LOG, RESOURCE } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { type AnyValue, type KeyValues, ValueList } from "#formats/otlp/values";
import { members, resourceGroups } from "#formats/otlp/walk";
import type { LogBatchBuilder } from "#pipeline/log-batch";
import { attributeText, printed } from "../ottl/value.ts";
import { LogfmtKeyError } from "./logfmt.ts";
import { jsonLine, logfmtRecordLine, NotFiniteError, rawLine } from "./to-logs-line.ts";

/** Attributes that say how a record becomes an entry; none of them is in the line. */
const LABELS_HINT = "loki.attribute.labels";
const RESOURCE_HINT = "loki.resource.labels";
const TENANT_HINT = "loki.tenant";
const FORMAT_HINT = "loki.format";
const HINTS = new Set([LABELS_HINT, RESOURCE_HINT, TENANT_HINT, FORMAT_HINT]);

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const MOST_LABEL_SETS = 10_000;

/** Why a record becomes no entry. */
export type RecordDropReason = "invalid_format" | "invalid_label" | "not_finite" | "invalid_key";
export type Failed = (reason: RecordDropReason, message: string) => void;

type Attributes = Map<string, AnyValue>;

class ConversionError extends Error {
  override readonly name = "ConversionError";
  readonly reason: RecordDropReason;
  constructor(reason: RecordDropReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Makes log entries of OTLP's log records: labels of what the hints name, a line of the rest. Matches LogToLokiEntry of
 * pkg/translator/loki of the Collector's contrib, as otelcol.exporter.loki of Alloy uses it.
 */
export class LogsDecoder {
  readonly #request = new OtlpRecord();
  readonly #record = new OtlpRecord();
  readonly #scope = new OtlpRecord();
  /** Label sets by their pairs, so that a stream is one object. */
  readonly #labels = new Map<string, Labels>();

  /** Adds the entries of a request. `now` (epoch milliseconds) is the time of those without one. Throws ProtobufError. */
  read(bytes: Uint8Array, builder: LogBatchBuilder, now: number, failed: Failed): void {
    const groups = resourceGroups(this.#request.reset(bytes));
    for (let r = 0; r < groups.length; r++) {
      const group = groups.at(r);
      const resource = mapOf(group.record(GROUP.resource).map(RESOURCE.attributes));
      const scopes = members(group);
      for (let s = 0; s < scopes.length; s++) {
        const scoped = scopes.at(s);
        this.#scope.reset(scoped.bytes(GROUP.scope));
        const records = members(scoped);
        for (let i = 0; i < records.length; i++) {
          this.#tryAdd(records.borrow(i, this.#record), resource, builder, now, failed);
        }
      }
    }
  }

  #tryAdd(record: OtlpRecord, resource: Attributes, builder: LogBatchBuilder, now: number, failed: Failed): void {
    try {
      this.#add(record, resource, builder, now);
    } catch (error) {
      if (error instanceof ConversionError) failed(error.reason, error.message);
      else if (error instanceof NotFiniteError) failed("not_finite", error.message);
      else if (error instanceof LogfmtKeyError) failed("invalid_key", error.message);
      else throw error;
    }
  }

  #add(record: OtlpRecord, resource: Attributes, builder: LogBatchBuilder, now: number): void {
    const attributes = mapOf(record.map(LOG.attributes));
    addLevel(record.int32(LOG.severityNumber), attributes);
    const formatHint = resource.has(FORMAT_HINT) ? resource.get(FORMAT_HINT) : attributes.get(FORMAT_HINT);
    const hasFormat = resource.has(FORMAT_HINT) || attributes.has(FORMAT_HINT);
    const format = hasFormat ? attributeText(formatHint) : "json";
    const promoted = promotedLabels(attributes, resource);
    const source = {
      record,
      scope: this.#scope,
      attributes: rest(attributes, promoted),
      resource: rest(resource, promoted),
    };
    let line: string;
    if (format === "json") line = jsonLine(source);
    else if (format === "logfmt") line = logfmtRecordLine(source);
    else if (format === "raw") line = rawLine(source);
    else {
      const message = `the format ${JSON.stringify(format)} of ${FORMAT_HINT} is none of json, logfmt and raw`;
      throw new ConversionError("invalid_format", message);
    }
    const nanos = record.fixed64(LOG.time) || record.fixed64(LOG.observedTime);
    const ns = nanos === 0n ? 0 : Number(((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n);
    const ms = nanos === 0n ? Math.floor(now) : Number((nanos - BigInt(ns)) / 1_000_000n);
    builder.addText(builder.streamId(this.#labelsOf(promoted)), ms, ns, line);
  }

  #labelsOf(promoted: ReadonlyMap<string, string>): Labels {
    const key = JSON.stringify([...promoted]);
    const known = this.#labels.get(key);
    if (known !== undefined) return known;
    const labels = new Map<string, string>();
    for (const [name, value] of promoted) labels.set(lokiLabelName(name), value);
    if (this.#labels.size >= MOST_LABEL_SETS) this.#labels.clear();
    const made = Labels.from(labels);
    this.#labels.set(key, made);
    return made;
  }
}

/** The attributes by key; of a key that comes twice the first counts, as for pdata. */
function mapOf(values: KeyValues): Attributes {
  const map: Attributes = new Map();
  for (let i = 0; i < values.size; i++) {
    const key = values.keyAt(i);
    if (!map.has(key)) map.set(key, values.valueAt(i));
  }
  return map;
}

/** The severity as an attribute `level` that becomes a label, unless there is one. */
function addLevel(severity: number, attributes: Attributes): void {
  if (severity === 0) return;
  const hint = attributes.get(LABELS_HINT);
  if (hint instanceof ValueList) attributes.set(LABELS_HINT, new ValueList([...hint.items, "level"]));
  else if (typeof hint === "string") attributes.set(LABELS_HINT, `${hint},level`);
  else if (!attributes.has(LABELS_HINT)) attributes.set(LABELS_HINT, "level");
  if (!attributes.has("level")) attributes.set("level", levelText(severity));
}
function levelText(severity: number): string {
  const level = LEVELS[Math.floor((severity - 1) / 4)];
  const step = (severity - 1) % 4;
  return level === undefined ? "" : step === 0 ? level : `${level}${step + 1}`;
}

/** Attributes that become labels, by their own names. */
function promotedLabels(attributes: Attributes, resource: Attributes): Map<string, string> {
  const labels = new Map([["exporter", "OTLP"]]);
  const text = (key: string) => (resource.has(key) ? attributeText(resource.get(key)) : undefined);
  const name = text("service.name");
  const namespace = text("service.namespace");
  if (name !== undefined) labels.set("job", namespace === undefined ? name : `${namespace}/${name}`);
  const instance = text("service.instance.id");
  if (instance !== undefined) labels.set("instance", instance);
  promote(resource, resource, RESOURCE_HINT, labels);
  promote(resource, attributes, RESOURCE_HINT, labels);
  promote(attributes, attributes, LABELS_HINT, labels);
  return labels;
}
function promote(from: Attributes, hints: Attributes, hint: string, labels: Map<string, string>): void {
  if (!hints.has(hint)) return;
  for (const each of namesOf(hints.get(hint))) {
    const name = each.trim();
    const found = lookUp(name, from);
    if (found !== undefined) labels.set(name, attributeText(found.value));
  }
}
function namesOf(hint: AnyValue): readonly string[] {
  if (typeof hint === "string") return hint.split(",");
  if (hint instanceof ValueList) return hint.items.map(printed);
  return [attributeText(hint)];
}

/** An attribute by its key, or inside of maps by the keys on the way to it, joined with dots. */
function lookUp(name: string, attributes: ReadonlyMap<string, AnyValue>): { value: AnyValue } | undefined {
  if (attributes.has(name)) return { value: attributes.get(name) };
  for (let dot = name.lastIndexOf("."); dot > -1; dot = dot === 0 ? -1 : name.lastIndexOf(".", dot - 1)) {
    const outer = lookUp(name.slice(0, dot), attributes);
    if (outer !== undefined && typeof outer.value === "object" && "keyAt" in outer.value) {
      return lookUp(name.slice(dot + 1), mapOf(outer.value));
    }
  }
  return undefined;
}

function rest(attributes: Attributes, promoted: ReadonlyMap<string, string>): Attributes {
  const left: Attributes = new Map();
  for (const [key, value] of attributes) if (!HINTS.has(key) && !promoted.has(key)) left.set(key, value);
  return left;
}

/** An attribute's key as a label of Loki. Matches LabelNamer of github.com/prometheus/otlptranslator v1.0.0. */
function lokiLabelName(key: string): string {
  const isReserved = key.length >= 4 && key.startsWith("__") && key.endsWith("__");
  const inner = (isReserved ? key.slice(2, -2) : key).replace(/[^a-zA-Z0-9]+/g, "_");
  const name = isReserved ? `__${inner}__` : /^[0-9]/.test(inner) ? `key_${inner}` : inner;
  if (/^_*$/.test(name)) {
    throw new ConversionError(
      "invalid_label",
      `the attribute ${JSON.stringify(key)} has no letter or digit for a label`,
    );
  }
  return name;
}
