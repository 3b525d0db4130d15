import { sliceable } from "#pipeline/log-batch";
import { shannonEntropy } from "./entropy.ts";
import type { Allowlist, SecretRule, SecretRules } from "./gitleaks-config.ts";
import { ALLOWANCE, LineText } from "./line-text.ts";
import { locate } from "./location.ts";
import { findOccurrences } from "./occurrences.ts";
import { Prefilter } from "./prefilter.ts";
import { RuleSearch } from "./rule-search.ts";

/** A secret in a line. */
export interface Finding {
  readonly rule: SecretRule;
  readonly secret: string;
  /** What the whole expression matched. */
  readonly match: string;
  /** Of the match in lines of several lines, from 0. */
  readonly line: number;
  /** The same in the line's bytes. */
  readonly column: number;
}

export interface Findings {
  readonly text: LineText;
  readonly found: readonly Finding[];
  /** Whether time was up before all rules were tried. */
  readonly timedOut: boolean;
}

/**
 * Finds secrets in lines as Gitleaks' detector does (detect/detect.go), for texts that come from no file and no commit:
 * rules about files never apply, and nothing is decoded. Rules are tried in the order of the configuration.
 */
export class Detector {
  readonly #prefilter: Prefilter;
  readonly #searches: readonly RuleSearch[];
  readonly #byId: ReadonlyMap<string, RuleSearch>;
  readonly #allowlists: readonly Allowlist[];

  constructor({ rules, allowlists }: SecretRules) {
    const applicable = [...rules.values()].filter(({ regex, path }) => regex !== undefined && (path?.test("") ?? true));
    this.#byId = new Map(applicable.map((rule) => [rule.id, new RuleSearch(rule)]));
    this.#searches = [...this.#byId.values()].filter(({ rule }) => !rule.skipReport);
    this.#prefilter = new Prefilter(this.#searches);
    this.#allowlists = allowlists;
  }

  /**
   * The secrets in `data[start, end)`; undefined if there can be none, which is told without a text being made. `timeUp` is
   * asked before each rule.
   */
  detect(data: Uint8Array, start: number, end: number, timeUp: (() => boolean) | undefined): Findings | undefined {
    const candidates = this.#prefilter.scan(data, start, end);
    if (candidates.length === 0) return undefined;
    const text = new LineText(sliceable(data), start, end);
    const found: Finding[] = [];
    for (const { search, at } of candidates) {
      if (timeUp?.()) return { text, found: withoutGeneric(found), timedOut: true };
      this.#detectRule(search, text, data, end, at, found);
    }
    return found.length === 0 ? undefined : { text, found: withoutGeneric(found), timedOut: false };
  }

  /** `at` is the first place where the rule may match; undefined if that is not known. */
  #detectRule(
    search: RuleSearch,
    text: LineText,
    data: Uint8Array,
    end: number,
    at: number | undefined,
    into: Finding[],
  ): void {
    const { rule } = search;
    const own: Finding[] = [];
    for (const [from, to] of search.matches(text, data, end, at)) {
      const finding = this.#judge(search, text, from, to);
      if (finding !== undefined) own.push(finding);
    }
    if (rule.required.length === 0 || own.length === 0) into.push(...own);
    else into.push(...this.#withRequired(rule, own, text, data, end));
  }

  /** The findings near which each required rule has one too. */
  #withRequired(rule: SecretRule, own: readonly Finding[], text: LineText, data: Uint8Array, end: number): Finding[] {
    const others = rule.required.map((required) => {
      const findings: Finding[] = [];
      const search = this.#byId.get(required.id);
      if (search !== undefined) {
        for (const [from, to] of search.matches(text, data, end, undefined)) {
          const finding = this.#judge(search, text, from, to);
          if (finding !== undefined) findings.push(finding);
        }
      }
      return { required, findings };
    });
    return own.filter((finding) =>
      others.every(({ required: { withinLines, withinColumns }, findings }) =>
        findings.some(
          (other) =>
            Math.abs(finding.line - other.line) <= (withinLines ?? Infinity) &&
            Math.abs(finding.column - other.column) <= (withinColumns ?? Infinity),
        ),
      ),
    );
  }

  #judge(search: RuleSearch, text: LineText, from: number, to: number): Finding | undefined {
    const { rule } = search;
    const match = text.text.slice(from, to).replace(/^\n+|\n+$/g, "");
    const { line, lineStart, text: lineText } = locate(text.text, text.severalLines, from, from + match.length);
    if (text.hasAllowance && lineText.includes(ALLOWANCE)) return undefined;
    const secret = secretOf(search, match);
    // An empty secret is nothing that could be redacted.
    if (secret === "" || (rule.entropy !== 0 && shannonEntropy(secret) <= rule.entropy)) return undefined;
    const allowed = (each: Allowlist) => isAllowed(each, secret, match, lineText, text);
    if (this.#allowlists.some(allowed) || rule.allowlists.some(allowed)) return undefined;
    return { rule, secret, match, line, column: text.byteAt(from) - text.byteAt(lineStart) + 1 };
  }
}

/** The group that the rule names, or the first that is not empty; the whole match if there is no group. */
function secretOf(search: RuleSearch, match: string): string {
  const groups = search.groups(match);
  // What stood around the match may have been part of the reason for it.
  if (groups === undefined || groups.length === 0) return match;
  const { secretGroup } = search.rule;
  if (secretGroup > 0) return groups[secretGroup - 1] ?? "";
  return groups.find((each) => each !== undefined && each !== "") ?? match;
}

function isAllowed(list: Allowlist, secret: string, match: string, line: string, text: LineText): boolean {
  const { regex } = list;
  let byRegex = false;
  if (regex !== undefined && list.target === "line") byRegex = text.onceForLine(list, line, () => regex.test(line));
  else if (regex !== undefined) byRegex = regex.test(list.target === "match" ? match : secret);
  if (!list.all) return byRegex || (list.stopWords?.in(secret) ?? false);
  if (list.aboutFiles || (list.regex !== undefined && !byRegex)) return false;
  return list.stopWords?.in(secret) ?? true;
}

/** Rules called generic give way to others that found the same secret on the same line. */
function withoutGeneric(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length < 2 || !findings.some(({ rule }) => isGeneric(rule))) return findings;
  const others = findings.filter(({ rule }) => !isGeneric(rule));
  if (others.length === 0) return findings;
  const given = new Set<Finding>();
  for (const line of new Set(others.map((each) => each.line))) {
    const generic = Map.groupBy(
      findings.filter((each) => each.line === line && isGeneric(each.rule)),
      ({ secret }) => secret,
    );
    const better = new Set(others.filter((each) => each.line === line).map(({ secret }) => secret));
    const texts = [...generic.keys()];
    // Between two secrets a character that is in no text.
    findOccurrences([...better].join("\u{10ffff}"), texts, (i) => {
      for (const each of generic.get(texts[i]!)!) given.add(each);
    });
  }
  return findings.filter((each) => !given.has(each));
}

function isGeneric(rule: SecretRule): boolean {
  return rule.id.toLowerCase().includes("generic");
}
