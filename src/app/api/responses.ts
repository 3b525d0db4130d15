import type { HttpResponse } from "#pipeline/component";
import { withoutUrlSecrets } from "./redact.ts";

/** Messages and targets may quote URLs with passwords in them, so these are hidden in every answer. */
export function json(value: unknown): HttpResponse {
  return {
    status: 200,
    headers: { "Content-Type": "application/json" },
    body: withoutUrlSecrets(JSON.stringify(value)),
  };
}

export function text(status: number, body: string): HttpResponse {
  return { status, headers: { "Content-Type": "text/plain; charset=utf-8" }, body };
}

/** A part of a path without its percent escapes; as it is if they are broken. */
export function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
