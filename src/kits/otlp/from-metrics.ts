import type { Labels } from "#base/labels";
import { parseGoFloat } from "#formats/go-number";
import { DATA, EXPONENTIAL, GAUGE, GROUP, HISTOGRAM, SUM, SUMMARY, TEMPORALITY } from "#formats/otlp/fields";
import { writeKeyValue } from "#formats/otlp/values";
import { ProtoWriter } from "#formats/protobuf";
import {
  type MetricBatch,
  type MetricMetadata,
  type MetricOrigin,
  type NativeHistogram,
  SAMPLE_STALE,
} from "#pipeline/batch";
import { type SeriesRef, SeriesRegistry } from "#pipeline/series";
import {
  BOUND,
  COUNT,
  endsNative,
  type FindMetadata,
  familyName,
  familyOf,
  nativeFamilyOf,
  VALUE,
} from "./from-metrics-families.ts";
import {
  ATTRIBUTES,
  FamilyGroup,
  type InfoSeries,
  type Lost,
  ResourceGroup,
  type SampleDropReason,
  ScopeGroup,
} from "./from-metrics-groups.ts";
import { isTooWide } from "./from-metrics-points.ts";
import { PointWriter } from "./from-metrics-writer.ts";

/** Families of metadata that is kept for samples without an origin. */
const MOST_METADATA = 100_000;
/** A writer that grew beyond this is not kept. */
const LARGEST_KEPT = 8 * 1024 * 1024;
/** ResourceMetrics in a request. */
const RESOURCE_GROUPS = 1;
/** The number of its family stands before the attributes of a group of series. */
const PREFIX_BYTES = 8;
/** The schema of native histograms with custom bounds. */
const CUSTOM_SCHEMA = -53;

const SCOPE_LABELS = ["otel_scope_name", "otel_scope_version", "otel_scope_schema_url"];
const INFO_IDENTITY = new Set(["__name__", "job", "instance"]);
/** Labels that say what the resource, scope and family are, and are no attributes. */
const NO_ATTRIBUTES = new Set(["__name__", "__scheme__", "__metrics_path__", "job", "instance", ...SCOPE_LABELS]);

/** In the place of a group: what becomes of the samples of the series. */
const UNKNOWN = 0;
const NOT_IDENTIFIED = -1;
const NAMELESS = -2;
const NO_BOUNDARY = -3;
const INFO = -4;

const LOST: ReadonlyMap<number, SampleDropReason> = new Map([
  [NOT_IDENTIFIED, "no_job_or_instance"],
  [NAMELESS, "no_name"],
  [NO_BOUNDARY, "invalid_boundary"],
]);
export interface EncodedMetrics {
  readonly bytes: Uint8Array;
  /** Data points. */
  readonly items: number;
}

/**
 * Writes metric batches as OTLP requests: a batch is grouped by resource (job and instance), scope, family and the labels
 * that make a point, with columns for what is known of each series; nothing is allocated for known ones.
 *
 * Matches internal/component/otelcol/receiver/prometheus/internal of Alloy, where a batch is a transaction, with these
 * differences: a series may have samples of several times in a batch; the `_created` of a counter is its start time and not
 * a metric of its own; a count that would be negative is 0.
 */
export class MetricsEncoder {
  readonly #registry: SeriesRegistry;
  readonly #version: string;
  readonly #unwatch: () => void;
  /** By series: its group, as a number and as a native histogram; its role in the group, and its boundary. */
  #group = new Int32Array(1024);
  #native = new Int32Array(1024);
  #role = new Uint8Array(1024);
  #boundary = new Float64Array(1024);
  /** Groups of series that make a point: found by family and attributes. By group: its family. */
  readonly #groups = new SeriesRegistry();
  readonly #familyOf: (FamilyGroup | undefined)[] = [];
  readonly #resources = new Map<string, ResourceGroup>();
  readonly #infos = new Map<SeriesRef, InfoSeries>();
  /** Families whose meaning the metadata of a name decides. */
  readonly #byName = new Map<string, Set<FamilyGroup>>();
  readonly #metadata = new Map<string, MetricMetadata>();
  #nextFamily = 1;
  readonly #scratch = new ProtoWriter(1024);
  #writer = new ProtoWriter(64 * 1024);
  readonly #points: PointWriter;

  /** Of the present batch. */
  #stamp = 0;
  readonly #active: ResourceGroup[] = [];
  #groupStamp = new Float64Array(1024);
  #head = new Int32Array(1024);
  #tail = new Int32Array(1024);
  #nextGroup = new Int32Array(1024);
  #nextSample = new Int32Array(1024);
  #histogramOf = new Int32Array(0);

  constructor(registry: SeriesRegistry, version: string) {
    this.#registry = registry;
    this.#version = version;
    this.#points = new PointWriter(this.#groups, PREFIX_BYTES);
    const unwatch = registry.onFreed((ref) => this.#forget(ref));
    const unwatchGroups = this.#groups.onFreed((group) => this.#forgetGroup(group));
    this.#unwatch = () => {
      unwatch();
      unwatchGroups();
    };
  }

  /** Resources that are known: each is an instance of a job with live series. */
  get resources(): number {
    return this.#resources.size;
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }

  /** The request; undefined if nothing of the batch makes a point. */
  encode(batch: MetricBatch, lost: Lost): EncodedMetrics | undefined {
    this.#learn(batch);
    this.#begin(batch);
    for (let i = 0; i < batch.count; i++) this.#take(batch, i, lost);
    const points = this.#points.begin(batch, this.#role, this.#boundary, this.#nextSample, this.#histogramOf, lost);
    const writer = this.#writer;
    writer.reset();
    for (const resource of this.#active) this.#writeResource(writer, resource);
    const items = points.count;
    const bytes = items === 0 ? undefined : writer.finish();
    if (writer.length > LARGEST_KEPT) this.#writer = new ProtoWriter(64 * 1024);
    points.end();
    return bytes === undefined ? undefined : { bytes, items };
  }

  #begin({ registry, count, histograms }: MetricBatch): void {
    this.#stamp += 1;
    this.#active.length = 0;
    this.#fit(registry.refLimit);
    if (this.#nextSample.length < count) this.#nextSample = new Int32Array(count * 2);
    if (histograms === undefined) {
      if (this.#histogramOf.length > 0) this.#histogramOf = new Int32Array(0);
      return;
    }
    this.#histogramOf = new Int32Array(count).fill(-1);
    for (const [at, { sample }] of histograms.entries()) this.#histogramOf[sample] = at;
  }

  /** Puts one sample into the group of its series. */
  #take(batch: MetricBatch, i: number, lost: Lost): void {
    const ref = batch.ref[i]!;
    const at = this.#histogramOf.length > 0 ? this.#histogramOf[i]! : -1;
    const histogram = at < 0 ? undefined : batch.histograms![at]!;
    const isStale = (batch.flags[i]! & SAMPLE_STALE) !== 0;
    const isNative = histogram !== undefined || (isStale && this.#endsNative(ref, batch.origin));
    if (!isNative && this.#native[ref] !== UNKNOWN) this.#leaveNative(ref);
    const groups = isNative ? this.#native : this.#group;
    let group = groups[ref]!;
    if (group > 0 && this.#groupStamp[group] !== this.#stamp && this.#isOutdated(group, histogram)) {
      groups[ref] = UNKNOWN;
      this.#groups.release(group);
      group = UNKNOWN;
    }
    if (group === UNKNOWN) {
      group = this.#resolve(ref, batch.origin, isNative ? nativeKind(histogram) : undefined);
      groups[ref] = group;
    }
    if (group === INFO) this.#addInfo(ref, batch);
    else if (group < 0) lost(LOST.get(group)!, 1, () => this.#registry.labels(ref).toString());
    else if (histogram !== undefined && isTooWide(histogram)) {
      lost("histogram_too_wide", 1, () => this.#registry.labels(ref).toString());
    } else this.#link(group, i, isNative ? VALUE : this.#role[ref]!, batch.origin);
  }
  #isOutdated(group: number, histogram: NativeHistogram | undefined): boolean {
    const family = this.#familyOf[group]!;
    return family.isOutdated || (histogram !== undefined && family.kind !== nativeKind(histogram));
  }
  /** The series is a number again, and its stale marker will be one. */
  #leaveNative(ref: SeriesRef): void {
    const group = this.#native[ref]!;
    this.#native[ref] = UNKNOWN;
    if (group > 0) this.#groups.release(group);
  }
  /** Whether the stale marker of a series is that of a native histogram. */
  #endsNative(ref: SeriesRef, origin: MetricOrigin | undefined): boolean {
    if (this.#native[ref] !== UNKNOWN || this.#group[ref] !== UNKNOWN) return this.#native[ref] !== UNKNOWN;
    const name = this.#registry.labels(ref).get("__name__") ?? "";
    return endsNative(name, this.#finder(origin));
  }

  /** Adds the sample to the chain of its group, and the group to what is active in the batch. */
  #link(group: number, i: number, role: number, origin: MetricOrigin | undefined): void {
    this.#nextSample[i] = -1;
    const family = this.#familyOf[group]!;
    if (this.#groupStamp[group] === this.#stamp) {
      this.#nextSample[this.#tail[group]!] = i;
      this.#tail[group] = i;
    } else {
      this.#groupStamp[group] = this.#stamp;
      this.#head[group] = i;
      this.#tail[group] = i;
      this.#nextGroup[group] = 0;
      if (family.stamp !== this.#stamp) this.#activate(family, origin);
      if (family.firstGroup === 0) family.firstGroup = group;
      else this.#nextGroup[family.lastGroup] = group;
      family.lastGroup = group;
    }
    if (role === VALUE || role === COUNT) family.hasPoints = true;
  }

  #activate(family: FamilyGroup, origin: MetricOrigin | undefined): void {
    family.stamp = this.#stamp;
    family.firstGroup = 0;
    family.hasPoints = false;
    const { scope } = family;
    this.#activateScope(scope, origin);
    scope.active.push(family);
  }
  #activateScope(scope: ScopeGroup, origin: MetricOrigin | undefined): void {
    this.#activateResource(scope.resource, origin);
    if (scope.stamp === this.#stamp) return;
    scope.stamp = this.#stamp;
    scope.active.length = 0;
    scope.header.begin();
    scope.resource.active.push(scope);
  }
  #activateResource(resource: ResourceGroup, origin: MetricOrigin | undefined): void {
    if (resource.stamp === this.#stamp) return;
    resource.stamp = this.#stamp;
    resource.active.length = 0;
    resource.header.begin();
    if (resource.origin !== origin) resource.header.bytes = undefined;
    resource.origin = origin;
    this.#active.push(resource);
  }

  #addInfo(ref: SeriesRef, { origin }: MetricBatch): void {
    const { resource, scope } = this.#infos.get(ref)!;
    if (scope === undefined) this.#activateResource(resource, origin);
    else this.#activateScope(scope, origin);
    (scope ?? resource).header.add(ref);
  }

  #writeResource(writer: ProtoWriter, resource: ResourceGroup): void {
    if (!resource.active.some((scope) => scope.active.some((family) => family.hasPoints))) {
      this.#tellIncomplete(resource);
      return;
    }
    const group = writer.begin(RESOURCE_GROUPS);
    writer.bytes(GROUP.resource, resource.write(this.#infos));
    for (const scope of resource.active) {
      const scoped = writer.begin(GROUP.members);
      writer.bytes(GROUP.scope, scope.write(this.#infos, this.#version));
      for (const family of scope.active) {
        if (family.hasPoints) this.#writeFamily(writer, family);
        else this.#points.skip(family, this.#head, this.#nextGroup);
      }
      if (scope.schemaUrl !== "") writer.string(GROUP.schemaUrl, scope.schemaUrl);
      writer.end(scoped);
    }
    writer.end(group);
  }
  #tellIncomplete(resource: ResourceGroup): void {
    for (const scope of resource.active) {
      for (const family of scope.active) this.#points.skip(family, this.#head, this.#nextGroup);
    }
  }

  #writeFamily(writer: ProtoWriter, family: FamilyGroup): void {
    const metric = writer.begin(GROUP.members);
    writer.raw(family.header);
    const data = writer.begin(family.field);
    for (let group = family.firstGroup; group !== 0; group = this.#nextGroup[group]!) {
      this.#points.write(writer, family, group, this.#head[group]!);
    }
    if (family.field !== GAUGE && family.field !== SUMMARY) writer.int32(DATA.temporality, TEMPORALITY.cumulative);
    if (family.field === SUM && family.isMonotonic) writer.bool(DATA.isMonotonic, true);
    writer.end(data);
    writer.end(metric);
  }

  /** Finds out what a series is; `native` is the kind of a native histogram. Returns its group, with one owner more. */
  #resolve(ref: SeriesRef, origin: MetricOrigin | undefined, native: "exponential" | "custom" | undefined): number {
    const labels = this.#registry.labels(ref);
    const name = labels.get("__name__") ?? "";
    const job = labels.get("job") || origin?.discovered.get("job") || "";
    const instance = labels.get("instance") || origin?.discovered.get("instance") || "";
    if (name === "") return NAMELESS;
    if (job === "" || instance === "") return NOT_IDENTIFIED;
    const resource = this.#resource(job, instance);
    if (native === undefined && (name === "target_info" || name === "otel_scope_info")) {
      const scope = name === "target_info" ? undefined : this.#scope(resource, labels);
      this.#addInfoSeries(ref, { resource, scope, attributes: infoAttributes(labels, scope !== undefined) });
      return INFO;
    }
    const find = this.#finder(origin);
    if (native !== undefined) {
      const field = native === "custom" ? HISTOGRAM : EXPONENTIAL;
      const family = { ...nativeFamilyOf(name, find), kind: native, field, isMonotonic: true };
      return this.#groupOf(this.#family(this.#scope(resource, labels), name, family), labels);
    }
    const found = familyOf(name, find);
    const kind = found.field === HISTOGRAM ? "histogram" : found.field === SUMMARY ? "summary" : "number";
    const boundary = found.role === BOUND ? parseGoFloat(labels.get(kind === "summary" ? "quantile" : "le") ?? "") : 0;
    if (boundary === undefined) return NO_BOUNDARY;
    this.#role[ref] = found.role;
    this.#boundary[ref] = boundary;
    return this.#groupOf(this.#family(this.#scope(resource, labels), name, { ...found, kind }), labels);
  }

  #finder(origin: MetricOrigin | undefined): FindMetadata {
    return (family) => origin?.metadata(family) ?? this.#metadata.get(family);
  }

  #resource(job: string, instance: string): ResourceGroup {
    const key = JSON.stringify([job, instance]);
    let resource = this.#resources.get(key);
    if (resource === undefined) this.#resources.set(key, (resource = new ResourceGroup(key, job, instance)));
    return resource;
  }
  #scope(resource: ResourceGroup, labels: Labels): ScopeGroup {
    const names = SCOPE_LABELS.map((label) => labels.get(label) ?? "");
    const key = JSON.stringify(names);
    let scope = resource.scopes.get(key);
    if (scope === undefined) {
      resource.scopes.set(key, (scope = new ScopeGroup(key, resource, names)));
      resource.users += 1;
    }
    return scope;
  }
  #family(scope: ScopeGroup, metric: string, of: FamilyShape): FamilyGroup {
    const { type, help, unit } = of.metadata;
    const key = JSON.stringify([of.name, of.kind, of.field, type, help, unit]);
    let family = scope.families.get(key);
    if (family === undefined || family.isOutdated) {
      scope.families.set(key, (family = new FamilyGroup(this.#nextFamily++, key, scope, of)));
      scope.users += 1;
    }
    for (const name of [metric, familyName(metric)]) {
      if (family.names.has(name)) continue;
      family.names.add(name);
      const known = this.#byName.get(name);
      if (known === undefined) this.#byName.set(name, new Set([family]));
      else known.add(family);
    }
    return family;
  }
  #groupOf(family: FamilyGroup, labels: Labels): number {
    const scratch = this.#scratch;
    scratch.reset();
    scratch.rawFixed64(family.id, 0);
    const bound = family.kind === "number" ? "" : family.kind === "summary" ? "quantile" : "le";
    for (const [name, value] of labels) {
      if (value === "" || name === bound || NO_ATTRIBUTES.has(name)) continue;
      writeKeyValue(scratch, ATTRIBUTES[family.kind], name, value);
    }
    const group = this.#groups.internEncoded(scratch.view(), 0, scratch.length);
    if (this.#familyOf[group] === undefined) {
      this.#familyOf[group] = family;
      family.users += 1;
      this.#fitGroups(group);
    }
    return group;
  }
  #addInfoSeries(ref: SeriesRef, info: InfoSeries): void {
    this.#infos.set(ref, info);
    info.resource.users += 1;
    if (info.scope !== undefined) info.scope.users += 1;
  }

  /** Takes in metadata; families that mean something else by it are made anew with their next samples. */
  #learn({ metadata, origin }: MetricBatch): void {
    if (metadata === undefined) return;
    for (const each of metadata) {
      if (origin === undefined) {
        if (this.#metadata.size >= MOST_METADATA) this.#metadata.delete(this.#metadata.keys().next().value!);
        this.#metadata.set(each.family, each);
      }
      for (const family of this.#byName.get(each.family) ?? []) {
        const { type, help, unit, family: name } = family.metadata;
        const isSame = name === each.family && type === each.type && help === each.help && unit === each.unit;
        if (!isSame) family.isOutdated = true;
      }
    }
  }

  /** A series is gone, and its number may be given to another one. */
  #forget(ref: SeriesRef): void {
    if (ref >= this.#group.length) return;
    for (const groups of [this.#group, this.#native]) {
      const group = groups[ref]!;
      groups[ref] = UNKNOWN;
      if (group > 0) this.#groups.release(group);
      if (group !== INFO) continue;
      const { resource, scope } = this.#infos.get(ref)!;
      this.#infos.delete(ref);
      if (scope !== undefined) this.#leaveScope(scope);
      this.#leaveResource(resource);
    }
  }
  #forgetGroup(group: number): void {
    const family = this.#familyOf[group]!;
    this.#familyOf[group] = undefined;
    this.#groupStamp[group] = 0;
    family.users -= 1;
    if (family.users > 0) return;
    for (const name of family.names) {
      const known = this.#byName.get(name)!;
      known.delete(family);
      if (known.size === 0) this.#byName.delete(name);
    }
    if (family.scope.families.get(family.key) === family) family.scope.families.delete(family.key);
    this.#leaveScope(family.scope);
  }
  #leaveScope(scope: ScopeGroup): void {
    scope.users -= 1;
    if (scope.users > 0) return;
    scope.resource.scopes.delete(scope.key);
    this.#leaveResource(scope.resource);
  }
  #leaveResource(resource: ResourceGroup): void {
    resource.users -= 1;
    if (resource.users === 0) this.#resources.delete(resource.key);
  }

  /** Makes room for series up to `limit`. */
  #fit(limit: number): void {
    const { length } = this.#group;
    if (limit <= length) return;
    const capacity = Math.max(limit, length * 2);
    this.#group = grown(this.#group, new Int32Array(capacity));
    this.#native = grown(this.#native, new Int32Array(capacity));
    this.#role = grown(this.#role, new Uint8Array(capacity));
    this.#boundary = grown(this.#boundary, new Float64Array(capacity));
  }
  #fitGroups(group: number): void {
    const { length } = this.#head;
    if (group < length) return;
    this.#head = grown(this.#head, new Int32Array(length * 2));
    this.#tail = grown(this.#tail, new Int32Array(length * 2));
    this.#nextGroup = grown(this.#nextGroup, new Int32Array(length * 2));
    this.#groupStamp = grown(this.#groupStamp, new Float64Array(length * 2));
  }
}

type FamilyShape = ConstructorParameters<typeof FamilyGroup>[3];

function grown<A extends Int32Array | Uint8Array | Float64Array>(old: A, larger: A): A {
  larger.set(old);
  return larger;
}

function nativeKind(histogram: NativeHistogram | undefined): "exponential" | "custom" {
  return histogram?.schema === CUSTOM_SCHEMA ? "custom" : "exponential";
}

/** What an info series says of its resource or scope: labels but those that identify it. */
function infoAttributes(labels: Labels, ofScope: boolean): [string, string][] {
  return [...labels]
    .filter(([name]) => !INFO_IDENTITY.has(name) && !(ofScope && SCOPE_LABELS.includes(name)))
    .map(([name, value]) => [name, value]);
}
