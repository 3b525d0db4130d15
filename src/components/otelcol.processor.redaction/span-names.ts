import { SPAN, SPAN_KIND } from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey } from "#formats/otlp/values";
import type { DatabaseCleaner } from "./database-text.ts";
import { databaseSystem, type Redactor } from "./redactor.ts";
import { withoutIds } from "./url-names.ts";

/** Attributes that make a span one of HTTP. */
const HTTP_KEYS = [
  "http.route",
  "http.request.method",
  "http.request.method_original",
  "http.response.status_code",
  "url.full",
  "http.scheme",
  "http.target",
  "http.method",
  "http.url",
].map((key) => new AttributeKey(key));
export interface SpanNameOptions {
  readonly redactor: Redactor;
  readonly cleansUrls: boolean;
  /** Undefined if names are to keep their queries. */
  readonly databases: DatabaseCleaner | undefined;
}

/** Cleans the name of a span: ids in the paths of HTTP, values in queries. Matches internal/{url,db}/spanname.go upstream. */
export function cleanSpanName(span: OtlpRecord, { redactor, cleansUrls, databases }: SpanNameOptions): void {
  if (!cleansUrls && databases === undefined) return;
  const name = span.text(SPAN.name);
  if (redactor.isAllowed(name)) return;
  const kind = span.int32(SPAN.kind);
  if (cleansUrls && isHttp(span, kind, name)) {
    const cleaned = withoutIds(name);
    if (cleaned !== name && !isOnlyAsterisks(cleaned)) {
      if (cleaned !== "") span.setText(SPAN.name, cleaned);
      return;
    }
  }
  if (databases === undefined || !hasQuery(kind)) return;
  const system = databaseSystem(span.map(SPAN.attributes));
  if (system === "") return;
  const cleaned = databases.spanName(name, system);
  if (cleaned !== name && cleaned !== "" && cleaned !== "...") span.setText(SPAN.name, cleaned);
}

function isHttp(span: OtlpRecord, kind: number, name: string): boolean {
  if (kind !== SPAN_KIND.client && kind !== SPAN_KIND.server) return false;
  if (name.includes("/")) return true;
  const attributes = span.map(SPAN.attributes);
  return HTTP_KEYS.some((key) => attributes.has(key));
}
/** Whether nothing but asterisks is left of a path. */
function isOnlyAsterisks(path: string): boolean {
  const segments = path.split("/");
  return segments.includes("*") && segments.every((segment) => segment === "" || segment === "*");
}
function hasQuery(kind: number): boolean {
  return kind === SPAN_KIND.client || kind === SPAN_KIND.server || kind === SPAN_KIND.internal;
}
