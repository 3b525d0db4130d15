import { compileRegex, type Regex } from "#base/regex";
import { BROWSER_RULES, SYSTEM_RULES, type UserAgentRule } from "./user-agent-rules.gen.ts";

/** Who a `User-Agent` header says it comes from. Matches github.com/ua-parser/uap-go. */

export interface UserAgentPart {
  /** "Other" where no rule knows it. */
  readonly family: string;
  /** With dots, as far as it is known. */
  readonly version: string;
}
export interface UserAgent {
  readonly browser: UserAgentPart;
  readonly system: UserAgentPart;
}

/** Headers repeat; as many as this are kept with what was found. */
const MOST_KEPT = 1024;
/** No browser says more, and every one of some eight hundred rules looks at it. */
const LONGEST = 4096;

interface Rule {
  readonly regex: Regex;
  /** Of the family and the parts of the version. */
  readonly replacements: readonly string[];
}

/** As many replacements as a rule has; by default the groups in order. */
function compile(rules: readonly UserAgentRule[], count: number): Rule[] {
  return rules.map(([expression, flag = "", ...given]) => ({
    regex: compileRegex(flag === "" ? expression! : `(?${flag})${expression}`),
    replacements: Array.from({ length: count }, (_, i) => given[i] || `$${i + 1}`),
  }));
}

function find(rules: readonly Rule[], header: string): UserAgentPart {
  for (const { regex, replacements } of rules) {
    if (!regex.test(header)) continue;
    const found = regex.exec(header)!;
    const [family, ...version] = replacements.map((each) => regex.expand(each, found));
    // One that finds no name leaves the rest to the others.
    if (family !== "") return { family: family!, version: versionText(version) };
  }
  return { family: "Other", version: "" };
}
function versionText([major, ...others]: readonly string[]): string {
  return major + others.map((part) => (part === "" ? "" : `.${part}`)).join("");
}

interface Rules {
  readonly browsers: readonly Rule[];
  readonly systems: readonly Rule[];
}
/** Compiling takes so long that it is done once, and not while data waits. */
let compiled: Rules | undefined;

/** Knows the latest headers. */
export class UserAgents {
  readonly #rules: Rules;
  readonly #known = new Map<string, UserAgent>();

  constructor() {
    compiled ??= { browsers: compile(BROWSER_RULES, 4), systems: compile(SYSTEM_RULES, 5) };
    this.#rules = compiled;
  }

  parse(header: string): UserAgent {
    const known = this.#known.get(header);
    if (known !== undefined) return known;
    const text = header.slice(0, LONGEST);
    const made = { browser: find(this.#rules.browsers, text), system: find(this.#rules.systems, text) };
    if (header.length > LONGEST) return made;
    if (this.#known.size >= MOST_KEPT) this.#known.clear();
    this.#known.set(header, made);
    return made;
  }
}
