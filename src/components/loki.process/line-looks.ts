/** What a line looks like that a stage cannot read, and what to do about that. */

const CRI = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* (?:stdout|stderr) [FP]\b/;
const DOCKER = /^\s*\{\s*"log"\s*:.*"(?:stream|time)"\s*:/;
const JSON_OBJECT = /^\s*\{\s*(?:"|\}\s*$)/;
const JSON_BEHIND_TEXT = /^[^{]+\{\s*".*\}\s*$/;
const LOGFMT = /^\s*\w+=(?:"[^"]*"|\S+)\s+\w+=/;

const STAGES_FOR_JSON = new Set(["json", "docker", "split_json"]);

/** Why a stage of this kind cannot read such a line, and what helps; undefined if the line does not tell. */
export function hintFor(kind: string, line: string): string | undefined {
  if (kind !== "cri" && CRI.test(line)) {
    const prefix = "the lines begin with a CRI prefix (Kubernetes)";
    return kind === "docker" ? `${prefix}: use stage.cri instead` : `${prefix}: add stage.cri before it`;
  }
  if (kind !== "docker" && DOCKER.test(line)) {
    const wrapped = "the lines are wrapped in Docker's JSON";
    return kind === "cri" ? `${wrapped}: use stage.docker instead` : `${wrapped}: add stage.docker before it`;
  }
  if (!STAGES_FOR_JSON.has(kind) && JSON_OBJECT.test(line)) return "the lines are JSON: read them with stage.json";
  if (kind === "json" && JSON_BEHIND_TEXT.test(line)) {
    return "something stands before the JSON: take it out with stage.regex first, and give stage.json its source";
  }
  if (kind !== "logfmt" && LOGFMT.test(line)) return "the lines look like logfmt: read them with stage.logfmt";
  return undefined;
}

const MAX_SAMPLE = 120;
/** Long runs of such characters are tokens, keys and ids rather than words. */
const TOKEN = /[A-Za-z0-9+/_=-]{20,}/g;
const SECRET =
  /((?:pass(?:word|wd)?|secret|token|authorization|api_?key|cookie)["']?\s*[=:]\s*["']?(?:(?:Bearer|Basic)\s+)?)[^\s"',;&]+/gi;

/** A line's beginning for a message: it goes into the agent's own log too, so what may be a secret is left out. */
export function sampleOf(line: string): string {
  const masked = line.slice(0, MAX_SAMPLE).replace(SECRET, "$1…").replace(TOKEN, "…");
  return line.length > MAX_SAMPLE ? `${masked}…` : masked;
}
