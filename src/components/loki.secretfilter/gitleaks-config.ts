import { compileRegex, type Regex } from "#base/regex";
import { StopWords } from "./stop-words.ts";

/**
 * Gitleaks' configuration: what its TOML file says, worked out as Gitleaks v8 does (config/config.go, config/allowlist.go,
 * config/rule.go). Keys have any case there; unknown ones are passed over.
 */
export interface SecretRule {
  readonly id: string;
  /** Undefined for rules about paths of files alone. */
  readonly regex: Regex | undefined;
  readonly path: Regex | undefined;
  /** The group that is the secret; 0 for the first that is not empty. */
  readonly secretGroup: number;
  /** What is not above this many bits a character is no secret; 0 for no such bound. */
  readonly entropy: number;
  /** In lower case; the rule is for lines that contain one of them, or for all lines if there are none. */
  readonly keywords: readonly string[];
  readonly allowlists: readonly Allowlist[];
  readonly required: readonly RequiredRule[];
  /** Only of use to rules that require it. */
  readonly skipReport: boolean;
}

export interface RequiredRule {
  readonly id: string;
  readonly withinLines: number | undefined;
  readonly withinColumns: number | undefined;
}

export interface Allowlist {
  /** Whether all of its conditions must hold, rather than one. */
  readonly all: boolean;
  /** Conditions on commits and files, which log lines do not have: they never hold. */
  readonly aboutFiles: boolean;
  readonly target: "secret" | "match" | "line";
  readonly regex: Regex | undefined;
  readonly stopWords: StopWords | undefined;
}

export interface SecretRules {
  readonly rules: ReadonlyMap<string, SecretRule>;
  readonly allowlists: readonly Allowlist[];
  /** What Gitleaks would log or pass over in silence. */
  readonly warnings: readonly string[];
}

/** A configuration that Gitleaks refuses. The message says where and why. */
export class GitleaksConfigError extends Error {
  override readonly name = "GitleaksConfigError";
}

/** How often a configuration may extend another that extends another. */
const MAX_EXTENSIONS = 2;

export interface ConfigSources {
  /** What Gitleaks has built in. */
  readonly defaults: unknown;
  /** Reads and parses the file that `extend.path` names. */
  load(path: string): unknown;
}

/** Works out a parsed TOML file. Throws a GitleaksConfigError. */
export function resolveConfig(config: unknown, sources: ConfigSources): SecretRules {
  const warnings: string[] = [];
  const { rules, allowlists, targeted } = resolve(config, sources, 0, warnings);
  for (const rule of rules.values()) validate(rule);
  for (const { id, allowlist } of targeted) {
    const rule = rules.get(id);
    if (rule === undefined) fail(`an allowlist has the target rule "${id}", which does not exist`);
    rules.set(id, { ...rule, allowlists: [...rule.allowlists, allowlist] });
  }
  return { rules, allowlists, warnings };
}

interface OneConfig {
  readonly rules: Map<string, SecretRule>;
  readonly allowlists: Allowlist[];
  /** Global allowlists that are for some rules only. */
  readonly targeted: { readonly id: string; readonly allowlist: Allowlist }[];
}

function resolve(config: unknown, sources: ConfigSources, depth: number, warnings: string[]): OneConfig {
  const table = new Table(config, "the file");
  const own = readOne(table, depth);
  const extend = table.table("extend");
  if (extend === undefined) return own;
  const path = extend.text("path") ?? "";
  const useDefault = extend.flag("useDefault");
  if (extend.text("url")) warnings.push("`extend.url` has no effect, as in Gitleaks: use `extend.path`");
  if (path === "" && !useDefault) return own;
  if (depth === MAX_EXTENSIONS) {
    warnings.push("a configuration is extended more than twice: what lies deeper has no effect, as in Gitleaks");
    return own;
  }
  if (path !== "" && useDefault) fail("`extend.path` and `extend.useDefault` are both set: use one of them");
  const base = resolve(useDefault ? sources.defaults : sources.load(path), sources, depth + 1, warnings);
  return merge(own, base, extend.texts("disabledRules"), warnings);
}

/** Puts a configuration over the one that it extends. */
function merge(own: OneConfig, base: OneConfig, disabled: readonly string[], warnings: string[]): OneConfig {
  for (const id of disabled) {
    if (!base.rules.has(id))
      warnings.push(`\`disabledRules\` names "${id}", which the extended configuration does not have`);
  }
  const rules = new Map(own.rules);
  for (const [id, under] of base.rules) {
    if (disabled.includes(id)) continue;
    const over = own.rules.get(id);
    if (over === undefined) rules.set(id, under);
    else {
      rules.set(id, {
        ...under,
        regex: over.regex ?? under.regex,
        path: over.path ?? under.path,
        entropy: over.entropy || under.entropy,
        secretGroup: over.secretGroup || under.secretGroup,
        keywords: [...under.keywords, ...over.keywords],
        allowlists: [...under.allowlists, ...over.allowlists],
      });
    }
  }
  return { rules, allowlists: [...own.allowlists, ...base.allowlists], targeted: own.targeted };
}

function readOne(table: Table, depth: number): OneConfig {
  const rules = new Map<string, SecretRule>();
  for (const each of table.tables("rules")) {
    const rule = readRule(each);
    rules.set(rule.id, rule);
  }
  for (const { id, required } of rules.values()) {
    const missing = required.find((each) => !rules.has(each.id));
    if (missing !== undefined) fail(`rule "${id}" requires the rule "${missing.id}", which does not exist`);
  }
  const allowlists: Allowlist[] = [];
  const targeted: { readonly id: string; readonly allowlist: Allowlist }[] = [];
  for (const each of readAllowlistTables(table, "the file")) {
    const allowlist = readAllowlist(each, "an allowlist of the file");
    const targets = each.texts("targetRules");
    if (targets.length === 0) allowlists.push(allowlist);
    // Those of an extended file are lost in Gitleaks, which looks for them in the outermost file only.
    else if (depth === 0) targeted.push(...targets.map((id) => ({ id, allowlist })));
  }
  return { rules, allowlists, targeted };
}

function readRule(table: Table): SecretRule {
  const id = table.text("id") ?? "";
  const where = `rule "${id}"`;
  if (id.trim() === "") fail(`a rule has no \`id\`; its description is "${table.text("description") ?? ""}"`);
  return {
    id,
    regex: optionalRegex(table.text("regex"), `\`regex\` of ${where}`),
    path: optionalRegex(table.text("path"), `\`path\` of ${where}`),
    secretGroup: table.number("secretGroup") ?? 0,
    entropy: table.number("entropy") ?? 0,
    keywords: table.texts("keywords").map((each) => each.toLowerCase()),
    allowlists: readAllowlistTables(table, where).map((each) => readAllowlist(each, `an allowlist of ${where}`)),
    required: table.tables("required").map((each) => ({
      id: each.text("id") || fail(`${where} has a \`required\` without \`id\``),
      withinLines: each.number("withinLines"),
      withinColumns: each.number("withinColumns"),
    })),
    skipReport: table.flag("skipReport"),
  };
}

/** `[[allowlists]]`, or the older `[allowlist]`. */
function readAllowlistTables(table: Table, where: string): readonly Table[] {
  const several = table.tables("allowlists");
  const old = table.table("allowlist");
  if (old === undefined) return several;
  if (several.length > 0) fail(`${where} has both \`allowlist\` and \`allowlists\`: use \`allowlists\``);
  return [old];
}

function readAllowlist(table: Table, where: string): Allowlist {
  const condition = (table.text("condition") ?? "").toUpperCase();
  if (!["", "OR", "||", "AND", "&&"].includes(condition)) {
    fail(`\`condition\` of ${where} is "${table.text("condition")}": use "AND" or "OR"`);
  }
  const target = table.text("regexTarget") || "secret";
  if (target !== "secret" && target !== "match" && target !== "line") {
    fail(`\`regexTarget\` of ${where} is "${target}": use "secret", "match" or "line"`);
  }
  const regexes = table.texts("regexes");
  const paths = table.texts("paths");
  const stopWords = table.texts("stopwords");
  const aboutFiles = paths.length > 0 || table.texts("commits").length > 0;
  if (!aboutFiles && regexes.length === 0 && stopWords.length === 0) {
    fail(`${where} is empty: it needs \`regexes\`, \`stopwords\`, \`paths\` or \`commits\``);
  }
  for (const each of [...paths, ...regexes]) optionalRegex(each, `an expression of ${where}`);
  return {
    all: condition === "AND" || condition === "&&",
    aboutFiles,
    target,
    // One expression of all, as Gitleaks makes it: a flag such as `(?i)` holds for those behind it too.
    regex: regexes.length > 0 ? optionalRegex(`(?:${regexes.join("|")})`, `the expressions of ${where}`) : undefined,
    stopWords: stopWords.length > 0 ? new StopWords(stopWords) : undefined,
  };
}

function validate({ id, regex, path, secretGroup }: SecretRule): void {
  if (regex === undefined && path === undefined) fail(`rule "${id}" has neither \`regex\` nor \`path\``);
  const groups = regex === undefined ? 0 : regex.groupNames.length - 1;
  if (regex !== undefined && secretGroup > groups) {
    fail(`\`secretGroup\` of rule "${id}" is ${secretGroup}, and \`regex\` has ${groups} groups`);
  }
}

function optionalRegex(source: string | undefined, where: string): Regex | undefined {
  if (source === undefined || source === "") return undefined;
  try {
    return compileRegex(source);
  } catch (error) {
    fail(`${where}: ${(error as Error).message}`);
  }
}

function fail(message: string): never {
  throw new GitleaksConfigError(message);
}

/** A table of a TOML file; values are converted as leniently as Gitleaks' reader does. */
class Table {
  readonly #values = new Map<string, unknown>();
  readonly #where: string;

  constructor(value: unknown, where: string) {
    this.#where = where;
    if (typeof value !== "object" || value === null || Array.isArray(value)) fail(`${where} is not a table`);
    for (const [key, each] of Object.entries(value)) this.#values.set(key.toLowerCase(), each);
  }

  #get(key: string): unknown {
    return this.#values.get(key.toLowerCase());
  }
  text(key: string): string | undefined {
    const value = this.#get(key);
    if (value === undefined || typeof value === "string") return value;
    if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
    fail(`\`${key}\` of ${this.#where} is not a text`);
  }
  number(key: string): number | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    const number = typeof value === "string" && value.trim() === "" ? 0 : Number(value);
    if (Number.isNaN(number) || typeof value === "object") fail(`\`${key}\` of ${this.#where} is not a number`);
    return number;
  }
  flag(key: string): boolean {
    const value = this.#get(key);
    if (value === undefined || typeof value === "boolean") return value ?? false;
    if (value === "true" || value === "1" || value === 1) return true;
    if (value === "false" || value === "0" || value === 0 || value === "") return false;
    fail(`\`${key}\` of ${this.#where} is not true or false`);
  }
  /** A list of texts; a single text is split at commas. */
  texts(key: string): readonly string[] {
    const value = this.#get(key);
    if (value === undefined || value === "") return [];
    if (typeof value === "string") return value.split(",");
    if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
    fail(`\`${key}\` of ${this.#where} is not a list of texts`);
  }
  table(key: string): Table | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : new Table(value, `\`${key}\` of ${this.#where}`);
  }
  tables(key: string): readonly Table[] {
    const value = this.#get(key);
    if (value === undefined) return [];
    const list = Array.isArray(value) ? value : [value];
    return list.map((each, i) => new Table(each, `number ${i + 1} of \`${key}\` of ${this.#where}`));
  }
}
