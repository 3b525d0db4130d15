import { shownUrl } from "#kits/http/url";
import type { Body, Expression, Source, Span, Statement } from "#lang/ast";
import type { Diagnostic } from "#lang/diagnostic";
import { parseFile } from "#lang/parser";
import { isObjectValue, Secret, type Value } from "#lang/value";

/**
 * Configuration text as it may be shown: strings in attributes and object fields that hold secrets become `"(secret)"`,
 * passwords and keys inside of URLs go as well. Goes by names, since a shown text may have blocks whose schema nobody has loaded,
 * such as those inside of a `declare`; it rather hides too much.
 */

/** Attributes that some component of the catalogue types as secret and whose names do not say so. */
const SECRET_NAMES = new Set([
  "access_key",
  "config",
  "connection_string",
  "consumer_key",
  "content",
  "client_certificate_key",
  "data",
  "data_source_name",
  "data_source_names",
  "global_config",
  "headers",
  "hmac_key",
  "http_headers",
  "key",
  "key_pem",
  "mongodb_uri",
  "proxy_connect_header",
  "query_config",
  "secret_key",
  "value",
]);
const SECRET_WORDS =
  /(?:password|passwd|passphrase|secret|token|credentials?|api_?key|private_?key|authorization|salt)$/i;

/** Up to the last @: a password that should have been escaped may hold slashes and more. */
const USER_INFO = /\/\/[^/@\s"`:]*:[^\s"`]*@/g;
/** A parameter of a URL's query whose name says that its value is secret. */
const SECRET_PARAMETER =
  /([?&](?:[\w.%-]{0,60}(?:password|passwd|pwd|passphrase|secret|token|credentials?|key|signature|jwt|authorization)|code|sig|auth)=)([^\s&"'`#<>\\]+)/gi;
/** A value that is a URL, and not a pattern for URLs. */
const PLAIN_URL = /^[a-z][a-z0-9+.-]*:\/\/[^\s()*^$\\|{}]+$/i;

export function isSecretName(name: string): boolean {
  return SECRET_NAMES.has(name) || SECRET_WORDS.test(name);
}

/** A whole configuration file. What cannot be parsed is not shown at all. */
export function redactFile(source: { readonly name: string; readonly text: string }): string {
  const { file, diagnostics } = parseFile(source);
  if (diagnostics.some((each) => each.severity === "error")) return "// not shown: the text has errors\n";
  return redactSpan({ source: file.source, start: 0, end: file.source.text.length }, file.body);
}

/** The text of a span that holds the statements of `body`, or is a part of them. Lines stay on their numbers. */
export function redactSpan(span: Span, body: Body): string {
  const { text } = span.source;
  let out = "";
  let at = span.start;
  for (const { start, end } of hiddenInside(span, body)) {
    out += `${withoutUrlSecrets(text.slice(at, start))}"(secret)"${text.slice(start, end).replace(/[^\n]/g, "")}`;
    at = end;
  }
  return out + withoutUrlSecrets(text.slice(at, span.end));
}

/** Whether something of a span, which is a part of `body`, is hidden by its name. */
export function isRedacted(span: Span, body: Body): boolean {
  return hiddenInside(span, body).length > 0;
}

function hiddenInside(span: Span, body: Body): readonly Span[] {
  return body.flatMap(hiddenIn).filter(({ start, end }) => start >= span.start && end <= span.end);
}

/** Text in which URLs have no user, no password, and no parameters that are named like secrets. */
export function withoutUrlSecrets(text: string): string {
  return text.replace(USER_INFO, "//(secret)@").replace(SECRET_PARAMETER, "$1(secret)");
}

/** A value of the configuration: of a URL nothing is shown that may be secret. */
function shownText(text: string): string {
  return withoutUrlSecrets(PLAIN_URL.test(text) ? shownUrl(text) : text);
}

/** Values as the API shows them: what is named like a secret, headers, and what may be secret inside of URLs are hidden. */
export function hideNamed(value: Value, isSecret = false): Value {
  if (typeof value === "string") return isSecret ? new Secret(value) : shownText(value);
  if (Array.isArray(value)) return value.map((each) => hideNamed(each, isSecret));
  if (value === null || typeof value !== "object" || !isObjectValue(value)) return value;
  const shown = new Map<string, Value>();
  for (const [name, field] of value)
    shown.set(name, hideNamed(field as Value, isSecret || name === "headers" || SECRET_WORDS.test(name)));
  return shown;
}

/** Problems as they may be logged and sent: with the secrets of the quoted text hidden, and all else in its place. */
export function hideSecrets(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const masks = new Map<Source, { readonly source: Source; readonly hidden: readonly string[] }>();
  const maskOf = (source: Source) => {
    let mask = masks.get(source);
    if (mask === undefined) masks.set(source, (mask = masked(source)));
    return mask;
  };
  return diagnostics.map((diagnostic) => {
    if (diagnostic.span === undefined) return diagnostic;
    const { source, hidden } = maskOf(diagnostic.span.source);
    const clean = (text: string) =>
      withoutUrlSecrets(hidden.reduce((rest, each) => rest.replaceAll(each, '"(secret)"'), text));
    const { message, why, hint, related, span } = diagnostic;
    return {
      ...diagnostic,
      message: clean(message),
      span: { ...span, source },
      ...(why === undefined ? {} : { why: clean(why) }),
      ...(hint === undefined ? {} : { hint: clean(hint) }),
      ...(related === undefined
        ? {}
        : {
            related: related.map((each) => ({
              ...each,
              span: { ...each.span, source: maskOf(each.span.source).source },
            })),
          }),
    };
  });
}

/** A value on the same line as its name, for texts that have too many errors to be parsed. */
const NAMED_STRING = /([A-Za-z_]\w*)"?\s*=\s*("(?:[^"\\\n]|\\.)*"?|`[^`]*`?)/g;

/** A source of the same length in which secrets are asterisks, so that places in it stay where they are. */
function masked({ name, text }: Source): { readonly source: Source; readonly hidden: readonly string[] } {
  const ranges = parseFile({ name, text }).file.body.flatMap(hiddenIn);
  const hidden = new Set(ranges.map(({ start, end }) => text.slice(start, end)));
  const stars = (part: string) => part.replace(/[^\n]/g, "*");
  let out = "";
  let at = 0;
  for (const { start, end } of ranges) {
    out += text.slice(at, start) + stars(text.slice(start, end));
    at = end;
  }
  out += text.slice(at);
  out = out.replace(NAMED_STRING, (whole: string, key: string, value: string) => {
    if (!isSecretName(key)) return whole;
    hidden.add(value);
    return whole.slice(0, -value.length) + stars(value);
  });
  out = out.replace(USER_INFO, (whole) => `//${stars(whole.slice(3))}@`);
  out = out.replace(SECRET_PARAMETER, (_whole, name: string, value: string) => name + stars(value));
  return { source: { name, text: out }, hidden: [...hidden].filter((each) => each.length > 2) };
}

function hiddenIn(statement: Statement): Span[] {
  if (statement.kind === "attribute") return stringsIn(statement.value, isSecretName(statement.name.name));
  // `argument "password" { default = … }`
  const isSecret = statement.name[0]?.name === "argument" && isSecretName(statement.label?.text ?? "");
  return statement.body.flatMap((each) =>
    isSecret && each.kind === "attribute" ? stringsIn(each.value, true) : hiddenIn(each),
  );
}

/** The string literals to hide, in the order of the text. */
function stringsIn(expression: Expression, isSecret: boolean): Span[] {
  switch (expression.kind) {
    case "literal":
      return isSecret && expression.type === "string" ? [expression.span] : [];
    case "array":
      return expression.elements.flatMap((each) => stringsIn(each, isSecret));
    case "object":
      return expression.fields.flatMap((field) =>
        stringsIn(field.value, isSecret || isSecretName(field.name.name.replace(/^"|"$/g, ""))),
      );
    case "identifier":
      return [];
    case "access":
      return stringsIn(expression.value, isSecret);
    case "index":
      return [...stringsIn(expression.value, isSecret), ...stringsIn(expression.index, false)];
    case "call":
      // Names of environment variables are no secrets.
      if (nameOf(expression.value) === "env") return [];
      return [expression.value, ...expression.args].flatMap((each) => stringsIn(each, isSecret));
    case "unary":
      return stringsIn(expression.value, isSecret);
    case "paren":
      return stringsIn(expression.inner, isSecret);
    case "binary":
      return [...stringsIn(expression.left, isSecret), ...stringsIn(expression.right, isSecret)];
  }
}

function nameOf(expression: Expression): string {
  if (expression.kind === "identifier") return expression.name;
  return expression.kind === "access" ? expression.name.name : "";
}
