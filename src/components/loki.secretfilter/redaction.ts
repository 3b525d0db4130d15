import { createHash } from "node:crypto";
import type { Finding, Findings } from "./detector.ts";
import { byteLength } from "./entropy.ts";
import type { LineText } from "./line-text.ts";
import { findOccurrences } from "./occurrences.ts";

export interface RedactionStyle {
  /** What takes a secret's place; `$SECRET_NAME` is the rule's id and `$SECRET_HASH` the SHA-1 of the secret. */
  readonly redactWith: string;
  /** Without `redactWith`: how much of a secret goes (1 … 100); the rest, its beginning, stays. */
  readonly percent: number;
}

/** A range of a line's bytes, and what comes there: the range's first `kept` bytes and a text. */
export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly kept: number;
  readonly text: string;
}

interface Place {
  readonly start: number;
  readonly end: number;
  readonly finding: Finding;
}

/**
 * Where a line changes, in order and without overlaps: each secret wherever it occurs. Alloy replaces one secret after
 * another, so that of two that overlap a part may stay; here the whole of both goes.
 */
export function replacements(
  { text, found }: Findings,
  data: Uint8Array,
  style: RedactionStyle,
): readonly Replacement[] {
  const replaced: Replacement[] = [];
  let done = -1;
  for (const { start, end, finding } of placesOf(text.text, found)) {
    if (end <= done) continue;
    const from = text.byteAt(Math.max(start, done));
    const to = text.byteAt(end);
    if (style.redactWith !== "")
      replaced.push({ start: from, end: to, kept: 0, text: placeholder(finding, data, text, start, end, style) });
    // The rest of a secret whose beginning went with another: of that one, enough stays already.
    else if (start < done) replaced.push({ start: from, end: to, kept: 0, text: "" });
    else replaced.push({ start: from, end: to, ...masked(finding.secret, style.percent) });
    done = end;
  }
  return replaced;
}

/** All occurrences of all secrets, by their beginnings, the longer ones first. */
function placesOf(text: string, found: readonly Finding[]): readonly Place[] {
  const places: Place[] = [];
  const first = new Map<string, Finding>();
  for (const finding of found) if (!first.has(finding.secret)) first.set(finding.secret, finding);
  const findings = [...first.values()];
  findOccurrences(text, [...first.keys()], (i, start) => {
    const finding = findings[i]!;
    places.push({ start, end: start + finding.secret.length, finding });
  });
  return places.sort((a, b) => a.start - b.start || b.end - a.end);
}

function placeholder(
  finding: Finding,
  data: Uint8Array,
  text: LineText,
  start: number,
  end: number,
  { redactWith }: RedactionStyle,
): string {
  const named = redactWith.replaceAll("$SECRET_NAME", () => finding.rule.id);
  if (!named.includes("$SECRET_HASH")) return named;
  const hash = createHash("sha1").update(data.subarray(text.byteAt(start), text.byteAt(end)));
  return named.replaceAll("$SECRET_HASH", hash.digest("hex"));
}

/** As Gitleaks masks a secret (report/finding.go), but for a character that the border would cut in two: it goes. */
function masked(secret: string, percent: number): { readonly kept: number; readonly text: string } {
  if (percent >= 100) return { kept: 0, text: "REDACTED" };
  const most = roundToEven((byteLength(secret) * (100 - percent)) / 100);
  let kept = 0;
  for (const character of secret) {
    const length = byteLength(character);
    if (kept + length > most) break;
    kept += length;
  }
  return { kept, text: "..." };
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
