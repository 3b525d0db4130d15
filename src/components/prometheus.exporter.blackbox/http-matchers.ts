import type { Regex } from "#base/regex";
import type { HeaderMatch, HttpProbe } from "./modules.ts";

type Headers = ReadonlyMap<string, readonly string[]>;

/** What the matchers of headers have against an answer; undefined for nothing. `matchRegularExpressionsOnHeaders`. */
export function headerProblem(headers: Headers, config: HttpProbe): string | undefined {
  const values = ({ header }: HeaderMatch) => headers.get(header.toLowerCase()) ?? [];
  for (const match of [...config.failIfHeaderMatches, ...config.failIfHeaderNotMatches]) {
    if (values(match).length === 0 && !match.allowMissing) return `the header ${match.header} is missing`;
  }
  for (const match of config.failIfHeaderMatches) {
    if (values(match).some((value) => match.regex.test(value))) {
      return `the header ${match.header} matches ${show(match.regex)} of fail_if_header_matches`;
    }
  }
  for (const match of config.failIfHeaderNotMatches) {
    const given = values(match);
    if (given.length > 0 && !given.some((value) => match.regex.test(value))) {
      return `the header ${match.header} does not match ${show(match.regex)} of fail_if_header_not_matches`;
    }
  }
  return undefined;
}

/** The same of the body. */
export function bodyProblem(body: Buffer, config: HttpProbe): string | undefined {
  const matches = (regex: Regex) => regex.testBytes(body, 0, body.length);
  const bad = config.failIfBodyMatches.find(matches);
  if (bad !== undefined) return `the body matches ${show(bad)} of fail_if_body_matches_regexp`;
  const missing = config.failIfBodyNotMatches.find((regex) => !matches(regex));
  if (missing !== undefined) return `the body does not match ${show(missing)} of fail_if_body_not_matches_regexp`;
  return undefined;
}

function show({ source }: Regex): string {
  return JSON.stringify(source.length > 100 ? `${source.slice(0, 100)}…` : source);
}
