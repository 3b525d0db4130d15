import { posix } from "node:path";

/**
 * The file for one value of the grouping attribute: the * of `pattern` replaced, never outside of what stands before it.
 * Matches fullPath in exporter/fileexporter/grouping_file_exporter.go.
 */
export function groupedPath(pattern: string, value: string): string {
  const [before = "", after = ""] = pattern.split("*");
  const cleaned = posix.normalize(before);
  const prefix = before.endsWith("/") && !cleaned.endsWith("/") ? `${cleaned}/` : withoutSlash(cleaned, before);
  let segment = value;
  if (segment.startsWith("./")) segment = segment.slice(1);
  else if (segment.startsWith("../")) segment = segment.slice(2);
  const full = clean(prefix + segment + after);
  if (full.startsWith(prefix)) return full;
  return clean(`${prefix}/${posix.join("/", segment + after)}`);
}

/** Go's path.Clean, which never leaves a slash at the end. */
function clean(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}
function withoutSlash(cleaned: string, before: string): string {
  return before.endsWith("/") ? cleaned : clean(cleaned);
}
