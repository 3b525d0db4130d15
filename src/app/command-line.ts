import { parseDuration } from "#base/duration";
import { nearest } from "#lang/suggest";

/** A command-line flag. Its name is written without dashes; one or two are accepted, as Go programs do. */
export interface FlagSpec {
  readonly name: string;
  readonly short?: string;
  readonly type: "string" | "bool" | "int" | "duration" | "list" | "enum";
  readonly values?: readonly string[];
  readonly default: string | boolean | number | readonly string[];
  readonly help: string;
  /** Why the flag cannot be used yet; setting it to other than its default is refused with this text. */
  readonly unsupported?: string;
  /** Kept for command lines that have it; does nothing. */
  readonly ignored?: string;
}

export type FlagValue = string | boolean | number | readonly string[];

export interface ParsedCommandLine {
  readonly flags: ReadonlyMap<string, FlagValue>;
  /** Names of the flags that were written. */
  readonly given: ReadonlySet<string>;
  readonly positional: readonly string[];
  readonly warnings: readonly string[];
}

/** A command line that cannot be carried out; the message is for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads arguments after the command's name. Durations become milliseconds. Throws a UsageError. */
export function parseCommandLine(args: readonly string[], specs: readonly FlagSpec[]): ParsedCommandLine {
  const flags = new Map<string, FlagValue>(specs.map((spec) => [spec.name, defaultOf(spec)]));
  const given = new Set<string>();
  const positional: string[] = [];
  const warnings: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      positional.push(...args.slice(i + 1));
      break;
    }
    if (arg === "-" || !arg.startsWith("-")) {
      positional.push(arg);
      continue;
    }
    const [name, inline] = splitFlag(arg.replace(/^--?/, ""));
    const spec = specs.find((each) => each.name === name || each.short === name);
    if (spec === undefined) throw new UsageError(unknownFlag(arg, name, specs));
    let text = inline;
    if (text === undefined) {
      if (spec.type === "bool") text = "true";
      else if (i + 1 < args.length) text = args[++i]!;
      else throw new UsageError(`flag needs an argument: --${spec.name}`);
    }
    const value = flagValue(spec, text);
    if (spec.unsupported !== undefined && String(value) !== String(defaultOf(spec))) {
      throw new UsageError(`--${spec.name} is not supported yet: ${spec.unsupported}`);
    }
    if (spec.ignored !== undefined) warnings.push(`--${spec.name} has no effect: ${spec.ignored}`);
    const before = given.has(spec.name) ? flags.get(spec.name) : undefined;
    flags.set(spec.name, spec.type === "list" && Array.isArray(before) ? [...before, ...(value as string[])] : value);
    given.add(spec.name);
  }
  return { flags, given, positional, warnings };
}

/** The flags' part of a help page. */
export function describeFlags(specs: readonly FlagSpec[]): string {
  const lines: string[] = [];
  for (const spec of [...specs].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const type = spec.type === "bool" ? "" : ` ${spec.values?.join("|") ?? spec.type}`;
    const fallback = String(spec.default) === "" || spec.default === false ? "" : ` (default ${String(spec.default)})`;
    const short = spec.short === undefined ? "    " : `-${spec.short}, `;
    const note = spec.unsupported ? " [not supported yet]" : spec.ignored ? " [no effect]" : "";
    lines.push(`  ${short}--${spec.name}${type}`, `          ${spec.help}${fallback}${note}`);
  }
  return lines.join("\n");
}

function splitFlag(text: string): [name: string, value: string | undefined] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)];
}

function defaultOf(spec: FlagSpec): FlagValue {
  return spec.type === "duration" ? parseDuration(String(spec.default)) : spec.default;
}

function flagValue(spec: FlagSpec, text: string): FlagValue {
  const invalid = (wanted: string) =>
    new UsageError(`invalid argument "${text}" for "--${spec.name}": ${wanted} is needed`);
  switch (spec.type) {
    case "bool": {
      if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
      if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
      throw invalid("true or false");
    }
    case "int": {
      if (!/^[+-]?\d+$/.test(text)) throw invalid("a whole number");
      return Number(text);
    }
    case "duration":
      try {
        return parseDuration(text);
      } catch {
        throw invalid("a duration such as 30s or 1h30m");
      }
    case "enum":
      if (!spec.values!.includes(text)) throw invalid(`one of ${spec.values!.join(", ")}`);
      return text;
    case "list":
      return text.split(",").filter((part) => part !== "");
    case "string":
      if (spec.values !== undefined && !spec.values.includes(text)) throw invalid(`one of ${spec.values.join(", ")}`);
      return text;
  }
}

function unknownFlag(arg: string, name: string, specs: readonly FlagSpec[]): string {
  const suggestion = nearest(
    name,
    specs.map((spec) => spec.name),
  );
  return `unknown flag: ${arg}${suggestion === undefined ? "" : ` (did you mean --${suggestion}?)`}`;
}
