import { METRIC, POINT, SCOPE } from "#formats/otlp/fields";
import { ucumUnit } from "#formats/otlp/metrics-names";
import { writeKeyValue } from "#formats/otlp/values";
import { ProtoWriter } from "#formats/protobuf";
import type { MetricMetadata, MetricOrigin } from "#pipeline/batch";
import type { SeriesRef } from "#pipeline/series";
import { scrapeResource } from "./scrape-resource.ts";

/** Resources, scopes and families that samples belong to, with the bytes that are the same in every request. */

/** The scope of samples that do not say theirs. */
const RECEIVER_SCOPE = "otelcol/prometheusreceiver";

/** Why samples make no data point. */
export type SampleDropReason =
  | "no_job_or_instance"
  | "no_name"
  | "invalid_boundary"
  | "incomplete_histogram"
  | "histogram_too_wide";
/** Told of samples that cannot be converted; `series` is asked for the labels of one of them. */
export type Lost = (reason: SampleDropReason, samples: number, series: () => string) => void;

/** What a `target_info` or `otel_scope_info` series adds. */
export interface InfoSeries {
  readonly resource: ResourceGroup;
  /** Undefined for `target_info`. */
  readonly scope: ScopeGroup | undefined;
  readonly attributes: readonly (readonly [name: string, value: string])[];
}

/** A header that depends on which info series the batch has. */
class Header {
  bytes: Uint8Array | undefined;
  #written: readonly SeriesRef[] = [];
  #infos: SeriesRef[] = [];

  begin(): void {
    this.#infos.length = 0;
  }
  add(ref: SeriesRef): void {
    this.#infos.push(ref);
  }
  /** The header's bytes, written anew if the info series are not those of the last batch. */
  with(write: (infos: readonly SeriesRef[]) => Uint8Array): Uint8Array {
    const infos = this.#infos;
    const isSame = infos.length === this.#written.length && infos.every((ref, i) => ref === this.#written[i]);
    if (this.bytes === undefined || !isSame) {
      this.bytes = write(infos);
      this.#written = [...infos];
    }
    return this.bytes;
  }
}

/** A job's instance. */
export class ResourceGroup {
  readonly key: string;
  readonly job: string;
  readonly instance: string;
  readonly header = new Header();
  readonly scopes = new Map<string, ScopeGroup>();
  /** Series, info series and scopes that need it. */
  users = 0;
  origin: MetricOrigin | undefined;
  stamp = 0;
  /** Scopes with samples in the present batch. */
  active: ScopeGroup[] = [];

  constructor(key: string, job: string, instance: string) {
    this.key = key;
    this.job = job;
    this.instance = instance;
  }

  write(infos: ReadonlyMap<SeriesRef, InfoSeries>): Uint8Array {
    return this.header.with((refs) => {
      const discovered = this.origin?.discovered;
      const attributes = scrapeResource(this.job, this.instance, discovered);
      for (const ref of refs) for (const [name, value] of infos.get(ref)!.attributes) attributes.set(name, value);
      return attributeBytes(1, attributes);
    });
  }
}

export class ScopeGroup {
  readonly key: string;
  readonly resource: ResourceGroup;
  readonly name: string;
  readonly version: string;
  readonly schemaUrl: string;
  readonly header = new Header();
  readonly families = new Map<string, FamilyGroup>();
  users = 0;
  stamp = 0;
  active: FamilyGroup[] = [];

  constructor(key: string, resource: ResourceGroup, names: readonly string[]) {
    this.key = key;
    this.resource = resource;
    const [name = "", version = "", schemaUrl = ""] = names;
    this.name = name;
    this.version = version;
    this.schemaUrl = schemaUrl;
  }

  /** `receiverVersion` is that of the agent, for samples that do not say their scope. */
  write(infos: ReadonlyMap<SeriesRef, InfoSeries>, receiverVersion: string): Uint8Array {
    return this.header.with((refs) => {
      const isNamed = this.name !== "" || this.version !== "" || this.schemaUrl !== "";
      const [name, version] = isNamed ? [this.name, this.version] : [RECEIVER_SCOPE, receiverVersion];
      const writer = new ProtoWriter(128);
      if (name !== "") writer.string(SCOPE.name, name);
      if (version !== "") writer.string(SCOPE.version, version);
      // The last one says all: as Alloy has it, scopes do not merge what several series say.
      const ref = refs.at(-1);
      const attributes = new Map(ref === undefined || !isNamed ? [] : infos.get(ref)!.attributes);
      writer.raw(attributeBytes(SCOPE.attributes, attributes));
      return writer.finish();
    });
  }
}

/** What the points of a family are made from. */
export type FamilyKind = "number" | "histogram" | "summary" | "exponential" | "custom";

/** Field numbers of attributes in the family's points. */
export const ATTRIBUTES: Readonly<Record<FamilyKind, number>> = {
  number: POINT.attributes.number,
  histogram: POINT.attributes.histogram,
  summary: POINT.attributes.summary,
  exponential: POINT.attributes.exponential,
  custom: POINT.attributes.histogram,
};

export class FamilyGroup {
  readonly id: number;
  readonly key: string;
  readonly scope: ScopeGroup;
  readonly name: string;
  readonly kind: FamilyKind;
  /** The field of the metric that holds its data. */
  readonly field: number;
  readonly isMonotonic: boolean;
  readonly metadata: MetricMetadata;
  /** Name, description, unit and type, as fields of a metric. */
  readonly header: Uint8Array;
  /** Names under which metadata may come that changes the family. */
  readonly names = new Set<string>();
  /** Metadata came that makes another family of it. */
  isOutdated = false;
  users = 0;
  stamp = 0;
  /** Of the present batch: the first and last group of series (0 for none), and whether there is any point. */
  firstGroup = 0;
  lastGroup = 0;
  hasPoints = false;

  constructor(
    id: number,
    key: string,
    scope: ScopeGroup,
    of: {
      readonly name: string;
      readonly kind: FamilyKind;
      readonly field: number;
      readonly isMonotonic: boolean;
      readonly metadata: MetricMetadata;
    },
  ) {
    this.id = id;
    this.key = key;
    this.scope = scope;
    this.name = of.name;
    this.kind = of.kind;
    this.field = of.field;
    this.isMonotonic = of.isMonotonic;
    this.metadata = of.metadata;
    const { help, unit, type } = of.metadata;
    const writer = new ProtoWriter(256);
    writer.string(METRIC.name, of.name);
    if (help !== "") writer.string(METRIC.description, help);
    if (unit !== "") writer.string(METRIC.unit, ucumUnit(unit));
    writeKeyValue(writer, METRIC.metadata, "prometheus.type", type);
    this.header = writer.finish();
  }
}

function attributeBytes(field: number, attributes: ReadonlyMap<string, string>): Uint8Array {
  const writer = new ProtoWriter(512);
  for (const [name, value] of attributes) writeKeyValue(writer, field, name, value);
  return writer.finish();
}
