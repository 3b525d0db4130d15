const VALID = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const INVALID = /-+|[^a-zA-Z0-9_]/gu;

/** A name with `_` for what metrics and labels cannot have in theirs: statsd_exporter's pkg/mapper/escape.go. */
export function escapeName(name: string): string {
  if (VALID.test(name) || name === "") return name;
  const escaped = name.replace(INVALID, "_");
  return /^[0-9]/.test(escaped) ? `_${escaped}` : escaped;
}
