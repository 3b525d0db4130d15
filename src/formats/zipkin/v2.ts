import { writeId } from "../jaeger/span.ts";
import { NO_SERVICE } from "../jaeger/tags.ts";
import { EVENT, LINK, RESOURCE, SCOPE, SPAN, SPAN_KIND, STATUS, STATUS_CODE } from "../otlp/fields.ts";
import { type AnyValue, writeKeyValue } from "../otlp/values.ts";
import { ProtoWriter } from "../protobuf.ts";
import { SpanGroups } from "../span-groups.ts";
import { ADDRESS_KEYS, KINDS, PORT_KEYS, STATUS_NAMES, TAG_KEY } from "./names.ts";
import {
  attributesMessage,
  START_TIME_ABSENT,
  typedTag,
  writeMicros,
  type ZipkinEndpoint,
  ZipkinError,
  type ZipkinSpan,
} from "./span.ts";

const SCOPE_NAME_KEYS = [TAG_KEY.scopeName, "otel.scope.name"];
const SCOPE_VERSION_KEYS = [TAG_KEY.scopeVersion, "otel.scope.version"];
const MAX_LINKS = 128;
const MAX_UINT32 = 2 ** 32 - 1;
const MIN_INT64 = -(2n ** 63n);
const ID = /^[0-9a-fA-F]*$/;

const STATUS_CODES: ReadonlyMap<string, number> = new Map([
  ...STATUS_NAMES.entries().map(([code, name]): [string, number] => [name, code]),
  ["Ok", STATUS_CODE.ok],
  ["Error", STATUS_CODE.error],
]);

/** Tags that describe what sent the span: attributes of the resource, if the first span of a service has them. */
const RESOURCE_TAGS: ReadonlySet<string> = new Set(
  (
    "cloud.provider cloud.account.id cloud.region cloud.availability_zone cloud.platform aws.ecs.container.arn " +
    "aws.ecs.cluster.arn aws.ecs.launchtype aws.ecs.task.arn aws.ecs.task.family aws.ecs.task.revision " +
    "aws.eks.cluster.arn aws.log.group.names aws.log.group.arns aws.log.stream.names aws.log.stream.arns " +
    "container.name container.id container.runtime container.image.name container.image.tag deployment.environment " +
    "device.id device.model.identifier device.model.name device.manufacturer faas.name faas.id cloud.resource_id " +
    "faas.version faas.instance faas.max_memory host.id host.name host.type host.arch host.image.name host.image.id " +
    "host.image.version k8s.cluster.name k8s.node.name k8s.node.uid k8s.namespace.name k8s.pod.uid k8s.pod.name " +
    "k8s.container.name k8s.container.restart_count k8s.replicaset.uid k8s.replicaset.name k8s.deployment.uid " +
    "k8s.deployment.name k8s.statefulset.uid k8s.statefulset.name k8s.daemonset.uid k8s.daemonset.name k8s.job.uid " +
    "k8s.job.name k8s.cronjob.uid k8s.cronjob.name os.type os.description os.name os.version process.pid " +
    "process.executable.name process.executable.path process.command process.command_line process.command_args " +
    "process.owner process.runtime.name process.runtime.version process.runtime.description service.name " +
    "service.namespace service.instance.id service.version telemetry.sdk.name telemetry.sdk.language " +
    "telemetry.sdk.version telemetry.auto.version webengine.name webengine.version webengine.description " +
    "opencensus.starttime opencensus.exporterversion opencensus.resourcetype"
  ).split(" "),
);
/** Tags that never become attributes of a span, whether they became something else or not. */
const NO_ATTRIBUTES: ReadonlySet<string> = new Set([
  ...RESOURCE_TAGS,
  TAG_KEY.serviceNameSource,
  ...SCOPE_NAME_KEYS,
  ...SCOPE_VERSION_KEYS,
]);

/**
 * Spans of Zipkin's second format as a request of OTLP, as ToTranslator of pkg/translator/zipkin/zipkinv2 makes it with its
 * feature gates at their defaults; the tags of the spans are used up. Throws a ZipkinError.
 */
export function zipkinToOtlp(spans: readonly ZipkinSpan[], parseStringTags: boolean): Uint8Array {
  const groups = new SpanGroups();
  for (const { span, service, library } of inOrder(spans)) {
    const { tags } = span;
    if (!groups.hasGroup(service)) groups.setGroup(service, resourceOf(service, tags));
    if (!groups.hasScope(service, library)) groups.addScope(service, library, scopeOf(library, tags));
    groups.begin(service, library);
    writeSpan(groups.writer, span, parseStringTags);
    groups.end();
  }
  return groups.finish();
}

/**
 * By service and library, those of equal ones in reverse: which span of a service comes first says what the resource is,
 * and this is what the Collector's sort does with up to twelve spans (with more, its order of equal ones is arbitrary).
 */
function inOrder(spans: readonly ZipkinSpan[]) {
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return spans
    .map((span) => ({ span, service: serviceOf(span), library: libraryOf(span.tags) }))
    .reverse()
    .sort((a, b) => compare(a.service, b.service) || compare(a.library, b.library));
}

function serviceOf({ localEndpoint }: ZipkinSpan): string {
  return localEndpoint?.serviceName || NO_SERVICE;
}
function libraryOf(tags: ReadonlyMap<string, string>): string {
  return tags.get("otel.scope.name") ?? tags.get("otel.library.name") ?? "";
}

function resourceOf(service: string, tags: ReadonlyMap<string, string>): Uint8Array {
  const attributes = new Map<string, AnyValue>();
  if (service !== NO_SERVICE) {
    attributes.set(tags.get(TAG_KEY.serviceNameSource) || TAG_KEY.serviceName, service);
    for (const [key, value] of tags) if (RESOURCE_TAGS.has(key)) attributes.set(key, value);
  }
  return attributesMessage(RESOURCE.attributes, attributes);
}

function scopeOf(library: string, tags: ReadonlyMap<string, string>): Uint8Array {
  const writer = new ProtoWriter(64);
  if (library === "") return writer.finish();
  const last = (keys: readonly string[]) => keys.reduce((found, key) => tags.get(key) ?? found, "");
  const version = last(SCOPE_VERSION_KEYS);
  writer.string(SCOPE.name, last(SCOPE_NAME_KEYS));
  if (version !== "") writer.string(SCOPE.version, version);
  return writer.finish();
}

function writeSpan(writer: ProtoWriter, span: ZipkinSpan, parseStringTags: boolean): void {
  const { tags, parentId } = span;
  writeId(writer, SPAN.traceId, span.traceId);
  writeId(writer, SPAN.spanId, span.id);
  const state = taken(tags, TAG_KEY.traceState);
  if (state) writer.string(SPAN.traceState, state);
  if (parentId !== undefined && !parentId.equals(span.id)) writeId(writer, SPAN.parentSpanId, parentId);
  if (span.name !== "") writer.string(SPAN.name, span.name);
  let kind = KINDS.get(span.kind);
  if (kind === undefined) kind = taken(tags, TAG_KEY.kind) === "internal" ? SPAN_KIND.internal : SPAN_KIND.unspecified;
  if (kind !== SPAN_KIND.unspecified) writer.int32(SPAN.kind, kind);
  writeMicros(writer, SPAN.start, span.timestamp ?? 0, 0);
  writeMicros(writer, SPAN.end, span.timestamp ?? 0, span.duration);
  writeStatus(writer, tags);
  writeLinks(writer, tags);
  writeAttributes(writer, span, parseStringTags);
  for (const { timestamp, value } of span.annotations) {
    const mark = writer.begin(SPAN.events);
    writeMicros(writer, EVENT.time, timestamp, 0);
    writeEvent(writer, value);
    writer.end(mark);
  }
}

function taken(tags: Map<string, string>, key: string): string | undefined {
  const value = tags.get(key);
  if (value !== undefined) tags.delete(key);
  return value;
}

function writeStatus(writer: ProtoWriter, tags: Map<string, string>): void {
  let code: number = STATUS_CODE.unset;
  let message = "";
  const told = taken(tags, TAG_KEY.statusCode);
  if (told !== undefined) {
    code = STATUS_CODES.get(told) ?? STATUS_CODE.unset;
    message = taken(tags, TAG_KEY.statusMessage) ?? "";
  }
  const error = tags.get(TAG_KEY.error);
  if (error !== undefined) {
    code = STATUS_CODE.error;
    if (error === "true") tags.delete(TAG_KEY.error);
  }
  if (code === STATUS_CODE.unset && message === "") return;
  const mark = writer.begin(SPAN.status);
  if (message !== "") writer.string(STATUS.message, message);
  if (code !== STATUS_CODE.unset) writer.int32(STATUS.code, code);
  writer.end(mark);
}

/** Tags `otlp.link.0` … hold what the Collector's exporter made of links: `trace|span|state|attributes|dropped`. */
function writeLinks(writer: ProtoWriter, tags: Map<string, string>): void {
  for (let i = 0; i < MAX_LINKS; i++) {
    const key = `${TAG_KEY.link}${i}`;
    const text = taken(tags, key);
    if (text === undefined) return;
    const parts = text.split("|");
    if (parts.length < 5) continue;
    const [trace, span, state] = parts as [string, string, string];
    const mark = writer.begin(SPAN.links);
    writeId(writer, LINK.traceId, idOf(trace, 16, key));
    writeId(writer, LINK.spanId, idOf(span, 8, key));
    if (state !== "") writer.string(LINK.traceState, state);
    writeJsonAttributes(writer, LINK.attributes, parts.slice(3, -1).join("|"), key);
    writeDropped(writer, LINK.droppedAttributesCount, parts.at(-1)!, key);
    writer.end(mark);
  }
}

function idOf(text: string, length: number, key: string): Buffer {
  const digits = /^".*"$/s.test(text) ? text.slice(1, -1) : text;
  if (digits === "") return Buffer.alloc(length);
  if (digits.length !== length * 2 || !ID.test(digits)) {
    throw new ZipkinError(`the tag ${key} has an id that is not ${length * 2} hexadecimal digits`);
  }
  return Buffer.from(digits, "hex");
}

/** An annotation is the name of an event, or what the Collector's exporter makes of one: `name|attributes|dropped`. */
function writeEvent(writer: ProtoWriter, value: string): void {
  const parts = value.split("|");
  if (parts[0] !== "") writer.string(EVENT.name, parts[0]!);
  if (parts.length < 3) return;
  const what = "an annotation with two or more `|`";
  writeJsonAttributes(writer, EVENT.attributes, parts.slice(1, -1).join("|"), what);
  writeDropped(writer, EVENT.droppedAttributesCount, parts.at(-1)!, what);
}

function writeJsonAttributes(writer: ProtoWriter, field: number, json: string, where: string): void {
  let attributes: unknown;
  try {
    attributes = JSON.parse(json);
  } catch (error) {
    throw new ZipkinError(`${where} has attributes that are no JSON: ${(error as Error).message}`);
  }
  if (typeof attributes !== "object" || Array.isArray(attributes)) {
    throw new ZipkinError(`${where} has attributes that are no JSON object`);
  }
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "string" || typeof value === "boolean") writeKeyValue(writer, field, key, value);
    else if (typeof value === "number") {
      if (!Number.isFinite(value)) throw new ZipkinError(`${where} has a number that is too large`);
      writeKeyValue(writer, field, key, Number.isInteger(value) ? int64(value) : value);
    }
  }
}

/** Go's conversion, whose result for what does not fit is the smallest number. */
function int64(value: number): bigint {
  return Math.abs(value) < 2 ** 63 ? BigInt(value) : MIN_INT64;
}

function writeDropped(writer: ProtoWriter, field: number, text: string, where: string): void {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > MAX_UINT32) {
    throw new ZipkinError(`${where} must end with the number of attributes that were dropped`);
  }
  if (count > 0) writer.uint32(field, count);
}

function writeAttributes(writer: ProtoWriter, span: ZipkinSpan, parseStringTags: boolean): void {
  const more = endpointAttributes(span);
  for (const [key, value] of span.tags) {
    if (NO_ATTRIBUTES.has(key) || more?.has(key)) continue;
    writeKeyValue(writer, SPAN.attributes, key, parseStringTags ? typedTag(value) : value);
  }
  if (more === undefined) return;
  for (const [key, value] of more) writeKeyValue(writer, SPAN.attributes, key, value);
}

/** What comes from elsewhere than tags and wins over them. */
function endpointAttributes(span: ZipkinSpan): Map<string, AnyValue> | undefined {
  const { localEndpoint: local, remoteEndpoint: remote } = span;
  const attributes = new Map<string, AnyValue>();
  const address = (endpoint: ZipkinEndpoint | undefined, key: string, portKey: string) => {
    const ip = endpoint?.ipv6 ?? endpoint?.ipv4;
    if (ip !== undefined) attributes.set(key, ip);
    if (endpoint !== undefined && endpoint.port > 0) attributes.set(portKey, BigInt(endpoint.port));
  };
  address(local, ADDRESS_KEYS.local, PORT_KEYS.local);
  if (remote !== undefined && remote.serviceName !== "") attributes.set(TAG_KEY.peerService, remote.serviceName);
  address(remote, ADDRESS_KEYS.remote, PORT_KEYS.remote);
  if (span.timestamp === undefined) attributes.set(START_TIME_ABSENT, true);
  return attributes.size === 0 ? undefined : attributes;
}
