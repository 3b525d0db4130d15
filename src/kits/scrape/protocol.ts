import type { ExpositionSyntax } from "#formats/exposition/exposition";

/** How a page is written; protobuf pages are translated. */
export type PageSyntax = ExpositionSyntax | "protobuf";

export const SCRAPE_PROTOCOLS = [
  "PrometheusProto",
  "OpenMetricsText1.0.0",
  "OpenMetricsText0.0.1",
  "PrometheusText1.0.0",
  "PrometheusText0.0.4",
] as const;
export type ScrapeProtocol = (typeof SCRAPE_PROTOCOLS)[number];

export const ESCAPING_SCHEMES = ["allow-utf-8", "underscores", "dots", "values"] as const;
export type EscapingScheme = (typeof ESCAPING_SCHEMES)[number];

const MEDIA_TYPES: Readonly<Record<ScrapeProtocol, string>> = {
  PrometheusProto: "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
  "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0",
  "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
  "PrometheusText1.0.0": "text/plain;version=1.0.0",
  "PrometheusText0.0.4": "text/plain;version=0.0.4",
};
const SYNTAXES: ReadonlyMap<string, PageSyntax> = new Map<string, PageSyntax>([
  ["application/openmetrics-text", "openmetrics"],
  ["text/plain", "text"],
  ["application/vnd.google.protobuf", "protobuf"],
]);

/** The `Accept` header for protocols in order of preference, as Prometheus's acceptHeader writes it. */
export function acceptHeader(protocols: readonly ScrapeProtocol[], escaping: EscapingScheme): string {
  let weight = SCRAPE_PROTOCOLS.length + 1;
  const parts = protocols.map((protocol) => {
    const escapes = protocol === "PrometheusText1.0.0" || protocol === "OpenMetricsText1.0.0";
    return `${MEDIA_TYPES[protocol]}${escapes ? `;escaping=${escaping}` : ""};q=0.${weight--}`;
  });
  return [...parts, `*/*;q=0.${weight}`].join(",");
}

/** What Go's mime.ParseMediaType takes, the type itself in the first group. */
const MEDIA_TYPE =
  /^\s*([\w!#$%&'*+.^`|~-]+(?:\/[\w!#$%&'*+.^`|~-]+)?)\s*(?:;\s*[\w!#$%&'*+.^`|~-]+\s*=\s*(?:[\w!#$%&'*+.^`|~-]+|"(?:\\.|[^"\\])*")\s*)*;?\s*$/;

/** A page of a type that is none of metrics, and no fallback for it. */
export class PageTypeError extends Error {
  override readonly name = "PageTypeError";
  constructor(contentType: string | undefined) {
    super(
      !contentType
        ? "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
        : mediaType(contentType) === undefined
          ? `cannot parse Content-Type ${JSON.stringify(contentType)} and no fallback_scrape_protocol for target`
          : `received unsupported Content-Type ${JSON.stringify(contentType)} and no fallback_scrape_protocol specified for target`,
    );
  }
}

/** How to read a page of a content type. Throws, in Prometheus's words, if neither it nor the fallback says. */
export function pageSyntax(contentType: string | undefined, fallback: ScrapeProtocol | undefined): PageSyntax {
  const media = contentType === undefined ? undefined : mediaType(contentType);
  const syntax = media === undefined ? undefined : SYNTAXES.get(media);
  if (syntax !== undefined) return syntax;
  if (fallback !== undefined) return SYNTAXES.get(mediaType(MEDIA_TYPES[fallback])!)!;
  throw new PageTypeError(contentType);
}

/** The type without its parameters; undefined if it is none. */
function mediaType(contentType: string): string | undefined {
  return MEDIA_TYPE.exec(contentType)?.[1]?.toLowerCase();
}
