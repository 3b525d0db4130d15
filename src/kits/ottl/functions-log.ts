import { type AnyValue, type KeyValues, ValueList } from "#formats/otlp/values";
import { LogFormatError, parseCef, parseClf, parseElf, parseLeef } from "#formats/security-logs";
import { mapOf } from "./functions-parse.ts";
import * as p from "./parameters.ts";
import { define, type OttlFunction, optional } from "./parameters.ts";
import { OttlError } from "./value.ts";

/** Functions of log records only. Matches processor/transformprocessor/internal/logparsingfuncs. */

function parser(name: string, parse: (text: string) => KeyValues): OttlFunction {
  return define(
    name,
    { target: p.text },
    ({ target }) =>
      (c) =>
        parsed(target.get(c), parse),
  );
}
function parsed(text: string, parse: (text: string) => KeyValues): KeyValues {
  if (text === "") throw OttlError.of("the message is empty");
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof LogFormatError) throw OttlError.of(error.message);
    throw error;
  }
}

const CEF = [
  "version",
  "device_vendor",
  "device_product",
  "device_version",
  "device_event_class_id",
  "name",
  "severity",
];
const LEEF = ["version", "vendor", "product.name", "product.version", "event.id"];

function named(prefix: string, names: readonly string[], values: readonly string[]): (readonly [string, AnyValue])[] {
  return names.map((name, i) => [`${prefix}.${name}`, values[i]!] as const);
}

function cef(text: string): KeyValues {
  const { header, extensions } = parseCef(text);
  return mapOf([...named("cef", CEF, header), ["cef.extensions", mapOf(extensions)]]);
}
function leef(text: string): KeyValues {
  const { header, attributes } = parseLeef(text);
  return mapOf([...named("leef", LEEF, header), ["leef.attributes", mapOf(attributes)]]);
}

function clf(text: string, format: "clf" | "combined"): KeyValues {
  const message = parseClf(text, format);
  const [method, uri, ...protocol] = message.request.split(" ");
  const isWhole = protocol.length > 0;
  const all: readonly (readonly [string, AnyValue])[] = [
    ["remote_host", message.host],
    ["rfc931", message.identity],
    ["auth_user", message.user],
    ["timestamp", message.timestamp],
    ["request", message.request],
    ["method", isWhole ? method : undefined],
    ["request_uri", isWhole ? uri : undefined],
    ["protocol", isWhole ? protocol.join(" ") : undefined],
    ["status", message.status],
    ["bytes", message.bytes],
    ["referer", message.referrer],
    ["user_agent", message.userAgent],
  ];
  return mapOf(all.filter(([, value]) => value !== undefined).map(([name, value]) => [`clf.${name}`, value] as const));
}
const parseClfFunction = define(
  "ParseCLF",
  { target: p.text, format: optional(p.textLiteral) },
  ({ target, format = "clf" }) => {
    if (format !== "clf" && format !== "combined") {
      throw OttlError.of(`the format is "clf" or "combined", not ${JSON.stringify(format)}`);
    }
    return (c) => parsed(target.get(c), (text) => clf(text, format));
  },
);

function elf(text: string): KeyValues {
  const { directives, fields, entries } = parseElf(text);
  return mapOf([
    ["elf.entries", new ValueList(entries.map(mapOf))],
    ...[...directives].map(([name, value]) => [`elf.${name.replace("-", "_")}`, value] as const),
    ["elf.fields", new ValueList([...fields])],
  ]);
}

export const logFunctions: readonly OttlFunction[] = [
  parser("ParseCEF", cef),
  parser("ParseLEEF", leef),
  parser("ParseELF", elf),
  parseClfFunction,
];
