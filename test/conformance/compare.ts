import { parseByteSize } from "#base/bytesize";
import { parseDuration } from "#base/duration";
import type { AnyBody, BodySchema, Written } from "#lang/schema";
import {
  type CatalogueArgument,
  type CatalogueBlock,
  type CatalogueBody,
  schemaToCatalogue,
} from "#lang/schema-catalogue";

/** What test/catalog/components/NAME.json and config-blocks.json hold, as far as it is compared (see test/catalog/README.md). */
export interface CatalogueEntry extends EntryBody {
  readonly name: string;
  readonly stability?: string | null;
  readonly community?: boolean;
  readonly exports?: readonly EntryExport[];
}
export interface EntryExport {
  readonly name: string;
  readonly type: string;
}
interface EntryBody {
  readonly arguments?: readonly EntryArgument[];
  readonly blocks?: readonly EntryBlock[];
}
interface EntryArgument {
  readonly name: string;
  readonly type: string;
  readonly default: Written;
  readonly required: boolean;
  /** Missing for required arguments; `computed` and `expr` are not known before run time. */
  readonly defaultFrom?: string;
  /** The default in Go, where the documentation names another. Either is right. */
  readonly goDefault?: Written;
  readonly experimental?: boolean;
  readonly deprecated?: boolean;
  readonly fields?: readonly EntryArgument[];
}
interface EntryBlock extends EntryBody {
  readonly name: string;
  readonly required: boolean;
  readonly repeatable: boolean;
  readonly label?: boolean;
  readonly presentByDefault?: boolean;
  readonly enumOf?: string;
  readonly dynamic?: boolean;
  readonly recursive?: unknown;
  /** The name of a configuration block that this one is. */
  readonly ref?: string;
}

/** A difference between a schema and the catalogue: where, in what, and both values. */
export interface Difference {
  /** Such as `endpoint > basic_auth > username: default`; the key in differences.ts. */
  readonly key: string;
  readonly ours: string;
  readonly theirs: string;
}

/** Reasons by component or block, then by the key of the difference. */
export type AllowedDifferences = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * What differs in names, nesting, types, requiredness and defaults, without what is allowed. An allowance that is not
 * needed any more counts as a difference, so that the list stays true.
 */
export function compareWithCatalogue(
  schema: { readonly args: AnyBody; readonly exports?: AnyBody | undefined },
  entry: CatalogueEntry,
  allowed: AllowedDifferences,
): readonly string[] {
  const differences: Difference[] = [];
  compareBodies(schemaToCatalogue(schema.args), entry, "", differences);
  if (entry.exports !== undefined) compareExports(schema.exports, entry.exports, differences);
  const reasons = new Map(Object.entries(allowed[entry.name] ?? {}));
  const found: string[] = [];
  for (const { key, ours, theirs } of differences) {
    if (!reasons.delete(key)) found.push(`${entry.name}: ${key}: ${ours} here, ${theirs} in the catalogue`);
  }
  for (const key of reasons.keys())
    found.push(`${entry.name}: ${key}: allowed in differences.ts, but there is no difference`);
  return found;
}

function compareBodies(ours: CatalogueBody, theirs: EntryBody, path: string, into: Difference[]): void {
  compareNamed(ours.arguments, theirs.arguments ?? [], path, "argument", into, (mine, entry, at) =>
    compareArguments(mine, entry, at, into),
  );
  compareNamed(ours.blocks, theirs.blocks ?? [], path, "block", into, (mine, entry, at) =>
    compareBlocks(mine, entry, at, into),
  );
}

function compareNamed<A extends { readonly name: string }, B extends { readonly name: string }>(
  ours: readonly A[],
  theirs: readonly B[],
  path: string,
  noun: string,
  into: Difference[],
  compare: (mine: A, entry: B, at: string) => void,
): void {
  const entries = new Map(theirs.map((each) => [each.name, each]));
  for (const mine of ours) {
    const at = path === "" ? mine.name : `${path} > ${mine.name}`;
    const entry = entries.get(mine.name);
    entries.delete(mine.name);
    if (entry === undefined) into.push({ key: `${at}: ${noun}`, ours: "there", theirs: "unknown" });
    else compare(mine, entry, at);
  }
  for (const name of entries.keys()) {
    into.push({ key: `${path === "" ? name : `${path} > ${name}`}: ${noun}`, ours: "missing", theirs: "there" });
  }
}

function compareArguments(ours: CatalogueArgument, theirs: EntryArgument, at: string, into: Difference[]): void {
  const check = (aspect: string, mine: unknown, entry: unknown) => {
    if (mine !== entry) into.push({ key: `${at}: ${aspect}`, ours: String(mine), theirs: String(entry) });
  };
  check("type", ours.type, theirs.type);
  check("required", ours.required, theirs.required);
  check("experimental", ours.experimental, theirs.experimental ?? false);
  if (theirs.deprecated === true) check("deprecated", ours.deprecated !== undefined, true);
  if (ours.fields !== undefined && theirs.fields !== undefined) {
    compareNamed(ours.fields, theirs.fields, at, "field", into, (mine, entry, inner) =>
      compareArguments(mine, entry, inner, into),
    );
  }
  if (ours.required || theirs.required || theirs.defaultFrom === "computed" || theirs.defaultFrom === "expr") return;
  const [mine, entry] = [normalDefault(ours.default, ours.type), normalDefault(theirs.default, theirs.type)];
  const alternative = theirs.goDefault === undefined ? entry : normalDefault(theirs.goDefault, theirs.type);
  if (mine !== entry && mine !== alternative) {
    into.push({ key: `${at}: default`, ours: JSON.stringify(ours.default), theirs: JSON.stringify(theirs.default) });
  }
}

/** Defaults that mean the same are the same text: Go's zero values, no value, and several spellings of durations and sizes. */
function normalDefault(value: Written, type: string): string {
  if (isZero(value)) return "zero";
  if (typeof value === "string" && type === "duration") return parsed(value, parseDuration);
  if (typeof value === "string" && type === "string" && /^[0-9.]+([KMGT]i?)?B$/.test(value))
    return parsed(value, parseByteSize);
  if (typeof value === "string" && type === "int") return String(Number(value));
  if (Array.isArray(value) && type === "list(duration)") {
    return JSON.stringify(value.map((each) => normalDefault(each, "duration")));
  }
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

function isZero(value: Written): boolean {
  if (value === null || value === false || value === 0 || value === "") return true;
  if (typeof value === "string") return /^0(\.0)?([a-z]*|[KMGT]?i?B)$/.test(value) && value !== "0";
  return typeof value === "object" && Object.keys(value).length === 0;
}

function parsed(text: string, parse: (text: string) => number): string {
  const value = parse(text);
  return value === 0 ? "zero" : String(value);
}

function compareBlocks(ours: CatalogueBlock, theirs: EntryBlock, at: string, into: Difference[]): void {
  const check = (aspect: string, mine: unknown, entry: unknown) => {
    if (mine !== entry) into.push({ key: `${at}: ${aspect}`, ours: String(mine), theirs: String(entry) });
  };
  check("required", ours.required, theirs.required);
  check("repeatable", ours.repeatable, theirs.repeatable);
  check("label", ours.label, theirs.label ?? false);
  check("present by default", ours.presentByDefault, theirs.presentByDefault ?? false);
  check("group", ours.enumOf, theirs.enumOf);
  check("dynamic", ours.dynamic, theirs.dynamic ?? false);
  const isOpen = ours.recursive || ours.dynamic || theirs.recursive !== undefined || theirs.ref !== undefined;
  if (!isOpen && ours.unsupported === undefined) compareBodies(ours, theirs, at, into);
}

function compareExports(
  exports: BodySchema<unknown> | undefined,
  theirs: readonly EntryExport[],
  into: Difference[],
): void {
  const ours = exports === undefined ? [] : schemaToCatalogue(exports).arguments;
  compareNamed(ours, theirs, "exports", "export", into, (mine, entry, at) => {
    if (mine.type !== entry.type) into.push({ key: `${at}: type`, ours: mine.type, theirs: entry.type });
  });
}
