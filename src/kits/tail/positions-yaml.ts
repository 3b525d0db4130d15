/**
 * Reads the positions files of Alloy (`positions.yml`: keys are maps of path and labels) and of Grafana Agent's static
 * mode and Promtail (keys are paths). Only the YAML that those programs write; anything else is an error.
 */

export interface ImportedPosition {
  readonly path: string;
  /** `{job="a"}`; `undefined` in files that do not have labels. */
  readonly labels: string | undefined;
  /** As written; a number for files. */
  readonly position: string;
}

export class PositionsSyntaxError extends Error {
  override readonly name = "PositionsSyntaxError";
}

export function parsePositionsYaml(text: string): ImportedPosition[] {
  const out: ImportedPosition[] = [];
  let path: string | undefined;
  let labels: string | undefined;
  let started = false;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const fail = (what: string) => new PositionsSyntaxError(`line ${index + 1}: ${what}`);
    if (/^\s*(?:#.*)?$/.test(line) || line === "---") continue;
    if (!started) {
      if (/^positions:\s*(?:\{\s*\})?\s*$/.test(line)) started = true;
      else throw fail("expected `positions:`");
      continue;
    }
    const field = /^\s*(\?\s+)?(path|labels):\s(.*)$/.exec(line) ?? /^\s*(\?\s+)?(path|labels):()$/.exec(line);
    const complexKey = /^\s*\?/.test(line) || path !== undefined;
    if (field !== null && complexKey && !/^\s*:/.test(line)) {
      const value = scalar(field[3]!, fail);
      if (field[2] === "path") path = value;
      else labels = value;
      continue;
    }
    const value = /^\s*:\s+(.*)$/.exec(line);
    if (value !== null) {
      if (path === undefined) throw fail("a position without a path");
      out.push({ path, labels: labels ?? "", position: scalar(value[1]!, fail) });
      path = undefined;
      labels = undefined;
      continue;
    }
    const simple = /^\s+("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^"'\s].*?):\s+(.*)$/.exec(line);
    if (simple === null || path !== undefined) throw fail("neither a path nor a position");
    out.push({ path: scalar(simple[1]!, fail), labels: undefined, position: scalar(simple[2]!, fail) });
  }
  if (path !== undefined) throw new PositionsSyntaxError("the file ends after a path");
  return out;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["0", "\0"],
  ["a", "\x07"],
  ["b", "\b"],
  ["e", "\x1b"],
  ["f", "\f"],
  ["v", "\v"],
]);

function scalar(text: string, fail: (what: string) => Error): string {
  const trimmed = text.trim();
  if (trimmed.startsWith("'")) {
    if (!/^'(?:[^']|'')*'$/.test(trimmed)) throw fail("a quote is not closed");
    return trimmed.slice(1, -1).replaceAll("''", "'");
  }
  if (trimmed.startsWith('"')) {
    if (!/^"(?:[^"\\]|\\.)*"$/.test(trimmed)) throw fail("a quote is not closed");
    return trimmed
      .slice(1, -1)
      .replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g, (_, x, u, long, char) => {
        const code = x ?? u ?? long;
        return code !== undefined ? String.fromCodePoint(Number.parseInt(code, 16)) : (ESCAPES.get(char) ?? char);
      });
  }
  if (/^[>|&*!]/.test(trimmed)) throw fail("an unknown form of text");
  return trimmed;
}
