import type { Diagnostic } from "./diagnostic.ts";
import type { Reference, Scope } from "./evaluate.ts";
import { type Host, standardFunctions } from "./stdlib-functions.ts";
import type { Value } from "./value.ts";

export type { Host } from "./stdlib-functions.ts";

/** Old names of functions, still there as in Alloy, with the names that replace them. */
export const DEPRECATED_NAMES: ReadonlyMap<string, string> = new Map([
  ["concat", "array.concat"],
  ["nonsensitive", "convert.nonsensitive"],
  ["env", "sys.env"],
  ["base64_decode", "encoding.from_base64"],
  ["json_decode", "encoding.from_json"],
  ["yaml_decode", "encoding.from_yaml"],
  ["format", "string.format"],
  ["join", "string.join"],
  ["replace", "string.replace"],
  ["split", "string.split"],
  ["to_lower", "string.to_lower"],
  ["to_upper", "string.to_upper"],
  ["trim", "string.trim"],
  ["trim_prefix", "string.trim_prefix"],
  ["trim_suffix", "string.trim_suffix"],
  ["trim_space", "string.trim_space"],
]);

export const EXPERIMENTAL_NAMES: ReadonlySet<string> = new Set(["array.combine_maps", "array.group_by"]);

const TOP_LEVEL = new Set([
  "array",
  "coalesce",
  "constants",
  "convert",
  "encoding",
  "file",
  "json_path",
  "string",
  "sys",
]);

/** Whether a name at the start of a reference belongs to the standard library, deprecated names included. */
export function isStandardName(name: string): boolean {
  return TOP_LEVEL.has(name) || DEPRECATED_NAMES.has(name);
}

/** Values that belong to a standard library, to tell its names from others of the same spelling. */
const standardValues = new WeakSet<object>();

/** The standard library: functions and constants. It is the outermost scope of every module. */
export function standardScope(host: Host): Scope {
  const names = new Map<string, Value>();
  const functions = standardFunctions(host);
  const namespaces = new Map<string, Map<string, Value>>();
  for (const [fullName, value] of functions) {
    const [namespace, name] = fullName.split(".") as [string, string?];
    standardValues.add(value);
    if (name === undefined) names.set(fullName, value);
    else namespaces.set(namespace, (namespaces.get(namespace) ?? new Map<string, Value>()).set(name, value));
  }
  namespaces.set(
    "constants",
    new Map<string, Value>([
      ["hostname", host.hostname],
      ["os", host.os],
      ["arch", host.arch],
      ["version", normalizeVersion(host.version)],
    ]),
  );
  for (const [name, members] of namespaces) {
    standardValues.add(members);
    names.set(name, members);
  }
  for (const [old, current] of DEPRECATED_NAMES) names.set(old, functions.get(current)!);
  return { lookup: (name) => names.get(name) };
}

/** With a `v` in front; a text that is no version stays what it is (Alloy's `normalizeVersion`). */
function normalizeVersion(version: string): string {
  const trimmed = version.trim();
  if (trimmed === "") return "v0.0.0";
  const match = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?([-+][0-9A-Za-z.+-]+)?$/.exec(trimmed);
  if (match === null) return version;
  const [, major, minor = "0", patch = "0", rest = ""] = match;
  return `v${Number(major)}.${Number(minor)}.${Number(patch)}${rest}`;
}

/**
 * What there is to say about the use of a standard name: an error if it is experimental and the user does not allow
 * that, a warning if it is deprecated. Undefined for names that something else in the scope hides.
 */
export function standardNameDiagnostic(
  reference: Reference,
  scope: Scope,
  minimumStability: "experimental" | "public-preview" | "generally-available",
): Diagnostic | undefined {
  const first = reference.path[0]!;
  if (!isStandardName(first)) return undefined;
  let value: Value | undefined;
  for (let each: Scope | undefined = scope; each !== undefined && value === undefined; each = each.parent) {
    value = each.lookup(first);
  }
  if (typeof value !== "object" || value === null || !standardValues.has(value)) return undefined;
  const { span } = reference;
  const current = DEPRECATED_NAMES.get(first);
  if (current !== undefined) {
    const hint = `use ${current} instead`;
    return {
      severity: "warning",
      code: "config.deprecated",
      message: `the function "${first}" is deprecated`,
      span,
      hint,
    };
  }
  const fullName = reference.path.slice(0, 2).join(".");
  if (!EXPERIMENTAL_NAMES.has(fullName) || minimumStability === "experimental") return undefined;
  return {
    severity: "error",
    code: "config.stability",
    message: `${fullName} is at stability level "experimental", which is below the minimum allowed stability level "${minimumStability}"`,
    span,
    why: "less stable features are off by default",
    hint: 'use --stability.level=experimental command-line flag to enable "experimental" features',
  };
}

const GO_PLATFORMS: ReadonlyMap<string, string> = new Map([
  ["win32", "windows"],
  ["sunos", "solaris"],
]);
const GO_ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ["x64", "amd64"],
  ["ia32", "386"],
  ["ppc64", "ppc64le"],
  ["loong64", "loong64"],
  ["mipsel", "mipsle"],
]);

/** Go's names (`constants.os`, `constants.arch`) for Node's `process.platform` and `process.arch`. */
export function goPlatform(platform: string, arch: string): { readonly os: string; readonly arch: string } {
  return { os: GO_PLATFORMS.get(platform) ?? platform, arch: GO_ARCHITECTURES.get(arch) ?? arch };
}
