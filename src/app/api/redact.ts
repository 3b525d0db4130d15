import type { Body, Expression, Span, Statement } from "#lang/ast";
import { parseFile } from "#lang/parser";

/**
 * Configuration text as it may be shown: strings in attributes and object fields that hold secrets become `"(secret)"`,
 * passwords inside of URLs go as well. Goes by names, since a shown text may have blocks whose schema nobody has loaded,
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

export function isSecretName(name: string): boolean {
  return SECRET_NAMES.has(name) || SECRET_WORDS.test(name);
}

/** A whole configuration file. What cannot be parsed is not shown at all. */
export function redactFile(source: { readonly name: string; readonly text: string }): string {
  const { file, diagnostics } = parseFile(source);
  if (diagnostics.some((each) => each.severity === "error")) return "// not shown: the text has errors\n";
  return redactSpan({ source: file.source, start: 0, end: file.source.text.length }, file.body);
}

/** The text of a span, whose statements are `body`. */
export function redactSpan(span: Span, body: Body): string {
  const { text } = span.source;
  let out = "";
  let at = span.start;
  for (const { start, end } of body.flatMap((statement) => hiddenIn(statement))) {
    out += `${withoutUserInfo(text.slice(at, start))}"(secret)"`;
    at = end;
  }
  return out + withoutUserInfo(text.slice(at, span.end));
}

/** `scheme://user:password@host` without user and password. */
export function withoutUserInfo(text: string): string {
  return text.replace(/\/\/[^/@\s"`]*:[^/@\s"`]*@/g, "//(secret)@");
}

function hiddenIn(statement: Statement): Span[] {
  if (statement.kind === "block") return statement.body.flatMap(hiddenIn);
  return stringsIn(statement.value, isSecretName(statement.name.name));
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
