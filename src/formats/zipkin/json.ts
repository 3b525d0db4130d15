/**
 * Spans of Zipkin in JSON as encoding/json, zipkin-go/model and pkg/translator/zipkin/zipkinv1 of the Collector read them:
 * names in any case, nulls as if they were not there, 64-bit numbers exact, wrong types refused.
 */
import { canonicalIp } from "../ip-text.ts";
import { type Micros, typedTag, type ZipkinEndpoint, ZipkinError, type ZipkinSpan } from "./span.ts";
import type { ZipkinV1Endpoint, ZipkinV1Span } from "./v1.ts";

/** A number that a double cannot hold was met: the text is parsed again with big integers. */
class PrecisionLoss extends Error {}

const MAX_UINT64 = 2n ** 64n - 1n;
const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
const MAX_PORT = 0xffff;
/** Integers up to here are compared as numbers. */
const SMALL = Number.MAX_SAFE_INTEGER;
const HEX = /^[0-9a-fA-F]+$/;

type Members = Readonly<Record<string, unknown>>;
/** Sets what a member of an object says; `where` names it for messages. */
type Setter<T> = (target: T, value: unknown, where: string) => void;

type Open<T> = { -readonly [K in keyof T]: T[K] };

/** Spans of the second format. Throws a ZipkinError. */
export function zipkinV2FromJson(text: string): ZipkinSpan[] {
  return parsed(text, (value) =>
    listOf(value, "the body").flatMap((each, i) => (each === null ? [] : [v2Span(each, `span ${i}`)])),
  );
}

/** Spans of the first format. Throws a ZipkinError. */
export function zipkinV1FromJson(text: string, parseStringTags: boolean): ZipkinV1Span[] {
  return parsed(text, (value) =>
    listOf(value, "the body").map((each, i) => v1Span(each, `span ${i}`, parseStringTags)),
  );
}

function parsed<T>(text: string, read: (value: unknown) => T): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ZipkinError(`the body is no JSON: ${(error as Error).message}`);
  }
  try {
    return read(value);
  } catch (error) {
    if (!(error instanceof PrecisionLoss)) throw error;
  }
  return read(parsedExactly(text));
}

/** Integers that a double cannot hold as bigints. */
function parsedExactly(text: string): unknown {
  const revive = (_key: string, value: unknown, context: { source: string }) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)
      ? BigInt(/^-?\d+$/.test(context.source) ? context.source : value)
      : value;
  try {
    return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
  } catch (error) {
    throw new ZipkinError(`the body is nested too deeply: ${(error as Error).message}`);
  }
}

function v2Span(value: unknown, where: string): ZipkinSpan {
  const span: Open<ZipkinSpan> = {
    traceId: Buffer.alloc(16),
    id: Buffer.alloc(8),
    parentId: undefined,
    name: "",
    kind: "",
    timestamp: undefined,
    duration: 0,
    localEndpoint: undefined,
    remoteEndpoint: undefined,
    annotations: [],
    tags: new Map(),
  };
  readMembers(V2_SPAN, span, value, where);
  if (isZero(span.id)) throw new ZipkinError(`${where} must have an id that is not zero`);
  return span;
}

const V2_SPAN = setters<Open<ZipkinSpan>>({
  traceId: (span, value, where) => {
    if (value === "" || value === null) throw new ZipkinError(`${where} must not be empty`);
    span.traceId = shortId(value, 32, where);
  },
  id: (span, value, where) => {
    span.id = value === null ? shortId("?", 16, where) : shortId(value, 16, where);
  },
  parentId: (span, value, where) => {
    span.parentId = value === null ? undefined : shortId(value, 16, where);
  },
  name: (span, value, where) => {
    span.name = textOf(value, where) ?? span.name;
  },
  kind: (span, value, where) => {
    span.kind = textOf(value, where) ?? span.kind;
  },
  timestamp: (span, value, where) => {
    const micros = integerOf(value, 0n, MAX_UINT64, where) ?? 0;
    span.timestamp = micros > 0 ? micros : undefined;
  },
  duration: (span, value, where) => {
    span.duration = integerOf(value, 0n, MAX_UINT64, where) ?? 0;
  },
  debug: (_span, value, where) => flag(value, where),
  shared: (_span, value, where) => flag(value, where),
  localEndpoint: (span, value, where) => {
    span.localEndpoint = value === null ? undefined : v2Endpoint(value, where);
  },
  remoteEndpoint: (span, value, where) => {
    span.remoteEndpoint = value === null ? undefined : v2Endpoint(value, where);
  },
  annotations: (span, value, where) => {
    span.annotations = listOf(value, where).map((each, i) => {
      const annotation: { timestamp: Micros; value: string } = { timestamp: 0, value: "" };
      readMembers(V2_ANNOTATION, annotation, each, `${where}[${i}]`);
      if (annotation.timestamp < 1) throw new ZipkinError(`${where}[${i}] must have a timestamp`);
      return annotation;
    });
  },
  tags: (span, value, where) => {
    if (value === null) span.tags.clear();
    else {
      const tags = object(value, where);
      for (const key in tags) {
        const tag = tags[key];
        const isText = typeof tag === "string";
        span.tags.set(key, isText ? tag : (textOf(tag, `${where}[${JSON.stringify(key)}]`) ?? ""));
      }
    }
  },
});

const V2_ANNOTATION = setters<{ timestamp: Micros; value: string }>({
  timestamp: (annotation, value, where) => {
    annotation.timestamp = integerOf(value, 0n, MAX_UINT64, where) ?? annotation.timestamp;
  },
  value: (annotation, value, where) => {
    annotation.value = textOf(value, where) ?? annotation.value;
  },
});

const V2_ENDPOINT = setters<Open<ZipkinEndpoint>>({
  serviceName: (endpoint, value, where) => {
    endpoint.serviceName = textOf(value, where) ?? endpoint.serviceName;
  },
  ipv4: (endpoint, value, where) => {
    endpoint.ipv4 = addressOf(value, where);
  },
  ipv6: (endpoint, value, where) => {
    endpoint.ipv6 = addressOf(value, where);
  },
  port: (endpoint, value, where) => {
    endpoint.port = Number(integerOf(value, 0n, BigInt(MAX_PORT), where) ?? endpoint.port);
  },
});

function v2Endpoint(value: unknown, where: string): ZipkinEndpoint {
  const endpoint: Open<ZipkinEndpoint> = { serviceName: "", ipv4: undefined, ipv6: undefined, port: 0 };
  readMembers(V2_ENDPOINT, endpoint, value, where);
  return endpoint;
}

function v1Span(value: unknown, where: string, parseStringTags: boolean): ZipkinV1Span {
  const span: V1Draft = {
    traceId: "",
    id: "",
    parentId: "",
    name: "",
    timestamp: 0n,
    duration: 0n,
    annotations: [],
    tags: [],
    parseStringTags,
  };
  readMembers(V1_SPAN, span, value, where);
  return {
    traceId: longId(span.traceId, [16, 32], `${where}: traceId`),
    id: longId(span.id, [16], `${where}: id`),
    parentId: span.parentId === "" ? Buffer.alloc(8) : longId(span.parentId, [16], `${where}: parentId`),
    name: span.name,
    timestamp: span.timestamp === 0n ? undefined : span.timestamp,
    duration: span.duration,
    annotations: span.annotations,
    tags: span.tags,
    emptyHostCounts: false,
    startNow: true,
  };
}

interface V1Draft {
  traceId: string;
  id: string;
  parentId: string;
  name: string;
  timestamp: bigint;
  duration: bigint;
  annotations: ZipkinV1Span["annotations"];
  tags: ZipkinV1Span["tags"];
  readonly parseStringTags: boolean;
}

const V1_SPAN = setters<V1Draft>({
  traceId: (span, value, where) => {
    span.traceId = textOf(value, where) ?? span.traceId;
  },
  id: (span, value, where) => {
    span.id = textOf(value, where) ?? span.id;
  },
  parentId: (span, value, where) => {
    span.parentId = textOf(value, where) ?? span.parentId;
  },
  name: (span, value, where) => {
    span.name = textOf(value, where) ?? span.name;
  },
  timestamp: (span, value, where) => {
    span.timestamp = BigInt(integerOf(value, MIN_INT64, MAX_INT64, where) ?? span.timestamp);
  },
  duration: (span, value, where) => {
    span.duration = BigInt(integerOf(value, MIN_INT64, MAX_INT64, where) ?? span.duration);
  },
  debug: (_span, value, where) => flag(value, where),
  annotations: (span, value, where) => {
    span.annotations = listOf(value, where).flatMap((each, i) => {
      if (each === null) return [];
      const annotation = { timestamp: 0n, value: "", endpoint: undefined as ZipkinV1Endpoint | undefined };
      readMembers(V1_ANNOTATION, annotation, each, `${where}[${i}]`);
      return [annotation];
    });
  },
  binaryAnnotations: (span, value, where) => {
    span.tags = listOf(value, where).map((each, i) => {
      const tag = { key: "", text: "", endpoint: undefined as ZipkinV1Endpoint | undefined };
      readMembers(V1_TAG, tag, each, `${where}[${i}]`);
      return { ...tag, value: span.parseStringTags ? typedTag(tag.text) : tag.text };
    });
  },
});

const V1_ANNOTATION = setters<{ timestamp: bigint; value: string; endpoint: ZipkinV1Endpoint | undefined }>({
  timestamp: (annotation, value, where) => {
    annotation.timestamp = BigInt(integerOf(value, MIN_INT64, MAX_INT64, where) ?? annotation.timestamp);
  },
  value: (annotation, value, where) => {
    annotation.value = textOf(value, where) ?? annotation.value;
  },
  endpoint: (annotation, value, where) => {
    annotation.endpoint = value === null ? undefined : v1Endpoint(value, where);
  },
});

const V1_TAG = setters<{ key: string; text: string; endpoint: ZipkinV1Endpoint | undefined }>({
  key: (tag, value, where) => {
    tag.key = textOf(value, where) ?? tag.key;
  },
  value: (tag, value, where) => {
    tag.text = textOf(value, where) ?? tag.text;
  },
  endpoint: (tag, value, where) => {
    tag.endpoint = value === null ? undefined : v1Endpoint(value, where);
  },
});

const V1_ENDPOINT = setters<Open<ZipkinV1Endpoint>>({
  serviceName: (endpoint, value, where) => {
    endpoint.serviceName = textOf(value, where) ?? endpoint.serviceName;
  },
  ipv4: (endpoint, value, where) => {
    endpoint.ipv4 = textOf(value, where) ?? endpoint.ipv4;
  },
  ipv6: (endpoint, value, where) => {
    endpoint.ipv6 = textOf(value, where) ?? endpoint.ipv6;
  },
  port: (endpoint, value, where) => {
    endpoint.port = Number(integerOf(value, -(2n ** 31n), 2n ** 31n - 1n, where) ?? endpoint.port);
  },
});

function v1Endpoint(value: unknown, where: string): ZipkinV1Endpoint {
  const endpoint: Open<ZipkinV1Endpoint> = { serviceName: "", ipv4: "", ipv6: "", port: 0 };
  readMembers(V1_ENDPOINT, endpoint, value, where);
  return endpoint;
}

/** Setters by the names of members, in lower case too. */
function setters<T>(byName: Readonly<Record<string, Setter<T>>>): ReadonlyMap<string, Setter<T>> {
  const entries = Object.entries(byName);
  return new Map([...entries, ...entries.map(([name, setter]) => [name.toLowerCase(), setter] as const)]);
}

/** Members that are not known are left alone. */
function readMembers<T>(known: ReadonlyMap<string, Setter<T>>, target: T, value: unknown, where: string): void {
  const members = object(value, where);
  for (const name in members) {
    const setter = known.get(name) ?? known.get(name.toLowerCase());
    setter?.(target, members[name], `${where}: ${name}`);
  }
}

function object(value: unknown, where: string): Members {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Members;
  throw wrong(where, "an object", value);
}

/** Null is an empty list. */
function listOf(value: unknown, where: string): readonly unknown[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw wrong(where, "a list", value);
  return value;
}

/** Undefined for null. */
function textOf(value: unknown, where: string): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "string") throw wrong(where, "a string", value);
  return value;
}

function flag(value: unknown, where: string): void {
  if (value !== null && typeof value !== "boolean") throw wrong(where, "true or false", value);
}

function integerOf(value: unknown, least: bigint, most: bigint, where: string): Micros | undefined {
  if (value === null) return undefined;
  // Nearly all of them; comparing with big integers takes longer.
  if (typeof value === "number" && value >= 0 && value <= SMALL && Number.isInteger(value) && most >= SMALL)
    return value;
  if (typeof value === "number" && !Number.isSafeInteger(value) && Number.isInteger(value)) throw new PrecisionLoss();
  const whole = typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));
  if (!whole || value < least || value > most) throw wrong(where, `a whole number from ${least} to ${most}`, value);
  return value;
}

function addressOf(value: unknown, where: string): string | undefined {
  const text = textOf(value, where);
  if (text === undefined || text === "") return undefined;
  const address = canonicalIp(text);
  if (address === undefined) throw wrong(where, "an IP address", value);
  return address;
}

/** An id of the second format: up to so many hexadecimal digits, and more zeros in front; no digits are zero. */
function shortId(value: unknown, most: number, where: string): Buffer {
  if (value === "") return Buffer.alloc(most / 2);
  if (typeof value === "string" && value.length === most && HEX.test(value)) return Buffer.from(value, "hex");
  const digits = typeof value === "string" ? value.replace(/^0+(?=.)/, "") : "";
  if (digits.length > most || !HEX.test(digits)) throw wrong(where, `up to ${most} hexadecimal digits`, value);
  return Buffer.from(digits.padStart(most, "0"), "hex");
}

/** An id of the first format: exactly so many digits, not all zero. */
function longId(digits: string, lengths: readonly number[], where: string): Buffer {
  if (!lengths.includes(digits.length) || !HEX.test(digits)) {
    throw wrong(where, `${lengths.join(" or ")} hexadecimal digits`, digits);
  }
  const id = Buffer.from(digits.padStart(lengths.at(-1)!, "0"), "hex");
  if (isZero(id)) throw new ZipkinError(`${where} must not be zero`);
  return id;
}

function isZero(id: Buffer): boolean {
  return id.every((byte) => byte === 0);
}

function wrong(where: string, wanted: string, value: unknown): ZipkinError {
  let shown = typeof value === "bigint" ? String(value) : "nothing";
  if (Array.isArray(value)) shown = "a list";
  else if (typeof value === "object" && value !== null) shown = "an object";
  else if (typeof value !== "bigint") shown = JSON.stringify(value) ?? shown;
  return new ZipkinError(`${where} must be ${wanted}, not ${shown.length > 64 ? `${shown.slice(0, 64)}…` : shown}`);
}
