/** Cross-origin requests, as rs/cors answers them in the OpenTelemetry Collector. */
import type { IncomingHttpHeaders } from "node:http";
import type { CorsArguments } from "./server-schema.ts";

const METHODS = ["GET", "POST", "HEAD"];
const SIMPLE_HEADERS = ["accept", "content-type", "origin", "x-requested-with"];

function originAllowed(cors: CorsArguments, origin: string): boolean {
  const wanted = origin.toLowerCase();
  return (cors.allowed_origins ?? []).some((pattern) => {
    const [before, after] = pattern.toLowerCase().split(/\*(.*)/s) as [string, string?];
    if (after === undefined) return wanted === before;
    return wanted.length >= before.length + after.length && wanted.startsWith(before) && wanted.endsWith(after);
  });
}

/** The headers of an answer to a request of a page; none for requests of others or when CORS is off. */
export function corsHeaders(
  cors: CorsArguments | undefined,
  headers: IncomingHttpHeaders,
): Readonly<Record<string, string>> {
  if (cors?.allowed_origins === undefined || cors.allowed_origins.length === 0) return {};
  const { origin } = headers;
  if (origin === undefined || !originAllowed(cors, origin)) return { vary: "Origin" };
  const answer: Record<string, string> = { vary: "Origin", ...allowOrigin(origin) };
  if (cors.exposed_headers !== undefined && cors.exposed_headers.length > 0) {
    answer["access-control-expose-headers"] = cors.exposed_headers.join(", ");
  }
  return answer;
}

/** The headers of the answer to a preflight request, undefined for any other request. */
export function preflight(
  cors: CorsArguments | undefined,
  method: string,
  headers: IncomingHttpHeaders,
): Readonly<Record<string, string>> | undefined {
  const wanted = headers["access-control-request-method"];
  if (method !== "OPTIONS" || wanted === undefined) return undefined;
  if (cors?.allowed_origins === undefined || cors.allowed_origins.length === 0) return undefined;
  const vary = { vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" };
  const { origin } = headers;
  if (origin === undefined || !originAllowed(cors, origin) || !METHODS.includes(wanted.toUpperCase())) return vary;
  const asked = String(headers["access-control-request-headers"] ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  const allowed = [...SIMPLE_HEADERS, ...cors.allowed_headers.map((name) => name.toLowerCase())];
  if (!cors.allowed_headers.includes("*") && !asked.every((name) => allowed.includes(name))) return vary;
  const answer: Record<string, string> = { ...vary, ...allowOrigin(origin), "access-control-allow-methods": wanted };
  if (asked.length > 0) answer["access-control-allow-headers"] = asked.join(", ");
  if (cors.max_age > 0) answer["access-control-max-age"] = String(cors.max_age);
  return answer;
}

/** Credentials are allowed, so that the origin is named rather than `*`. */
function allowOrigin(origin: string): Record<string, string> {
  return { "access-control-allow-origin": origin, "access-control-allow-credentials": "true" };
}
