import { AttributeKey, type KeyValues } from "#formats/otlp/values";
import * as p from "./parameters.ts";
import { define, type OttlFunction, optional } from "./parameters.ts";
import { attributeText, OttlError } from "./value.ts";

/** Functions of spans only. Matches func_set_semconv_span_name.go of the transform processor. */

const SERVER = 2;
const CLIENT = 3;
const PRODUCER = 4;
const CONSUMER = 5;

const keys = new Map<string, AttributeKey>();
/** The text of the first attribute that is there. */
function first(attributes: KeyValues, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    let key = keys.get(name);
    if (key === undefined) keys.set(name, (key = new AttributeKey(name)));
    const at = attributes.find(key);
    if (at >= 0) return attributeText(attributes.valueAt(at));
  }
  return undefined;
}

function httpName(attributes: KeyValues, subject: string): string | undefined {
  const method = first(attributes, "http.request.method", "http.method");
  if (method === undefined) return undefined;
  const target = first(attributes, subject);
  return target === undefined ? method : `${method} ${target}`;
}
function rpcName(attributes: KeyValues): string | undefined {
  const system = first(attributes, "rpc.system.name", "rpc.system");
  if (system === undefined) return undefined;
  const method = first(attributes, "rpc.method", "rpc.grpc.method");
  const service = first(attributes, "rpc.service", "rpc.grpc.service");
  if (service !== undefined) return `${service}/${method ?? "*"}`;
  return method ?? system;
}
function serverAddress(attributes: KeyValues): string | undefined {
  const address = first(attributes, "server.address");
  const port = first(attributes, "server.port");
  return address !== undefined && port !== undefined ? `${address}:${port}` : address;
}
function databaseName(attributes: KeyValues): string | undefined {
  const system = first(attributes, "db.system.name", "db.system");
  if (system === undefined) return undefined;
  const summary = first(attributes, "db.query.summary");
  if (summary !== undefined) return summary;
  const operation = first(attributes, "db.operation.name", "db.operation") ?? "";
  const namespace = first(attributes, "db.namespace", "db.name") ?? "";
  const object = first(attributes, "db.collection.name", "db.stored_procedure.name");
  const target = [namespace, object ?? ""].filter((each) => each !== "").join(".") || (serverAddress(attributes) ?? "");
  return [operation, target].filter((each) => each !== "").join(" ") || system;
}
function messagingName(attributes: KeyValues): string | undefined {
  const system = first(attributes, "messaging.system");
  if (system === undefined) return undefined;
  const operation = first(attributes, "messaging.operation.name", "messaging.operation");
  const target = messagingTarget(attributes);
  return [operation, target].filter((each) => each !== undefined && each !== "").join(" ") || (operation ?? system);
}
function messagingTarget(attributes: KeyValues): string | undefined {
  if (first(attributes, "messaging.destination.temporary") === "true") return "(temporary)";
  if (first(attributes, "messaging.destination.anonymous") === "true") return "(anonymous)";
  return (
    first(attributes, "messaging.destination.template", "messaging.destination.name", "messaging.destination") ??
    serverAddress(attributes)
  );
}

/** The name that the semantic conventions give a span of a kind; undefined if they say nothing of it. */
function conventionalName(kind: number, attributes: KeyValues): string | undefined {
  switch (kind) {
    case SERVER:
      return httpName(attributes, "http.route") || rpcName(attributes) || messagingName(attributes) || undefined;
    case CLIENT:
      return (
        httpName(attributes, "url.template") ||
        rpcName(attributes) ||
        databaseName(attributes) ||
        messagingName(attributes) ||
        undefined
      );
    case PRODUCER:
    case CONSUMER:
      return messagingName(attributes) || undefined;
    default:
      return undefined;
  }
}

/** Versions of the conventions whose names are known. */
const OLDEST = [1, 37, 0];
const NEWEST = [1, 40, 0];

function checkVersion(text: string): void {
  const found = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?$/.exec(text);
  if (found === null) throw OttlError.of(`${JSON.stringify(text)} is no version`);
  const version = found.slice(1).map((part) => Number(part ?? "0"));
  const order = (a: readonly number[], b: readonly number[]) =>
    a.map((part, i) => part - b[i]!).find((each) => each !== 0) ?? 0;
  if (order(version, OLDEST) < 0 || order(version, NEWEST) > 0) {
    throw OttlError.of(`the version ${text} is not between ${OLDEST.join(".")} and ${NEWEST.join(".")}`);
  }
}

const setSpanName = define(
  "set_semconv_span_name",
  { semconv_version: p.textLiteral, original_span_name_attribute: optional(p.textLiteral) },
  ({ semconv_version: version, original_span_name_attribute: attribute }) => {
    checkVersion(version);
    if (attribute === "") throw OttlError.of("original_span_name_attribute is empty");
    const key = attribute === undefined ? undefined : new AttributeKey(attribute);
    return ({ span }) => {
      const before = span.text(5);
      const attributes = span.map(9);
      const name = conventionalName(span.int32(6), attributes) ?? before;
      if (name === before) return undefined;
      span.setText(5, name);
      if (key !== undefined) attributes.set(key, before);
      return undefined;
    };
  },
);

export const spanFunctions: readonly OttlFunction[] = [setSpanName];
