import type { Dirent } from "node:fs";
import { lstat, readdir, stat } from "node:fs/promises";
import { posix } from "node:path";

/**
 * Glob patterns on file paths as bmatcuk/doublestar v4 has them (match.go, glob.go): `*`, `?`, `[class]`, `{a,b}` and `**`,
 * which stands for any directories where it is a whole segment and for `*` elsewhere. Hidden files match like others and
 * symbolic links are followed.
 */

export class GlobError extends Error {
  override readonly name = "GlobError";
}

type Token =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "char"; readonly char: string }
  | { readonly kind: "class"; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] };

/** A path segment: fixed text, a pattern, or `**`. */
type Segment = string | readonly Token[] | typeof ANY_DIRECTORIES;
const ANY_DIRECTORIES = Symbol("**");

type OnError = (path: string, error: NodeJS.ErrnoException) => void;

/** Told on what the paths that are found depend. */
export interface Visits {
  /** A directory is about to be read. */
  directory(path: string): Promise<void>;
  /** They depend on something else too. */
  unsure(): void;
}

/** Alternatives may multiply; nobody writes this many. */
const MAX_ALTERNATIVES = 10_000;

export class Glob {
  readonly pattern: string;
  readonly #absolute: boolean;
  readonly #alternatives: readonly (readonly Segment[])[];

  /** Throws a GlobError for a pattern with an unclosed class or alternative. */
  constructor(pattern: string) {
    this.pattern = pattern;
    const clean = pattern === "" ? "" : posix.normalize(pattern).replace(/(?<=.)\/$/, "");
    this.#absolute = clean.startsWith("/");
    this.#alternatives = [...new Set(expandBraces(clean))].map((each) =>
      each
        .split("/")
        .filter((segment, i) => segment !== "" && !(i === 0 && segment === "."))
        .map(compileSegment),
    );
  }

  /** Whether the pattern has special characters at all. */
  get isPattern(): boolean {
    return this.#alternatives.length > 1 || this.#alternatives[0]!.some((segment) => typeof segment !== "string");
  }

  /** The directory above the first special character, for each alternative. */
  get bases(): string[] {
    return this.#alternatives.map((segments) => {
      const special = segments.findIndex((segment) => typeof segment !== "string");
      return this.#join(segments.slice(0, special < 0 ? segments.length - 1 : special) as string[]);
    });
  }

  /** Whether a path matches. `a/**` matches `a` itself too. */
  match(path: string): boolean {
    if (path.startsWith("/") !== this.#absolute) return false;
    const names = path.split("/").filter((name) => name !== "");
    return this.#alternatives.some((segments) => matchSegments(segments, 0, names, 0));
  }

  /**
   * The paths that exist and match, directories among them, sorted and each once. Directories that cannot be read are
   * handed to `onError` and count as empty.
   */
  async find(onError: OnError = () => {}, visits?: Visits): Promise<string[]> {
    const found = new Set<string>();
    for (const segments of this.#alternatives)
      await this.#walk(this.#absolute ? "/" : ".", segments, 0, found, onError, visits);
    return [...found].sort();
  }

  async #walk(
    directory: string,
    segments: readonly Segment[],
    from: number,
    found: Set<string>,
    onError: OnError,
    visits: Visits | undefined,
  ): Promise<void> {
    let at = directory;
    let next = from;
    while (next < segments.length && typeof segments[next] === "string") {
      at = at === "." ? (segments[next] as string) : posix.join(at, segments[next] as string);
      next += 1;
    }
    const segment = segments[next];
    if (segment === undefined) {
      visits?.unsure();
      if (segments.length > 0 && (await exists(at, from === 0 && next === segments.length, onError))) found.add(at);
      return;
    }
    let entries: Dirent[];
    await visits?.directory(at);
    try {
      entries = await readdir(at, { withFileTypes: true });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "ENOENT" && code !== "ENOTDIR") onError(at, error as NodeJS.ErrnoException);
      return;
    }
    const last = next === segments.length - 1;
    if (segment === ANY_DIRECTORIES) {
      if (last) found.add(at);
      else await this.#walk(at, segments, next + 1, found, onError, visits);
    }
    for (const entry of entries) {
      const path = at === "." ? entry.name : posix.join(at, entry.name);
      if (segment === ANY_DIRECTORIES) {
        // The rest of the pattern is matched inside each directory, so `**` stays where it is.
        if (await isDirectory(path, entry, visits)) await this.#walk(path, segments, next, found, onError, visits);
        else if (last) found.add(path);
      } else if (matchTokens(segment as readonly Token[], entry.name)) {
        if (last) found.add(path);
        else if (await isDirectory(path, entry, visits))
          await this.#walk(path, segments, next + 1, found, onError, visits);
        else if (segments.slice(next + 1).every((each) => each === ANY_DIRECTORIES)) found.add(path);
      }
    }
  }

  #join(segments: readonly string[]): string {
    return (this.#absolute ? "/" : "") + segments.join("/") || ".";
  }
}

async function exists(
  path: string,
  plain: boolean,
  onError: (path: string, error: NodeJS.ErrnoException) => void,
): Promise<boolean> {
  try {
    await (plain ? lstat(path) : stat(path));
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOENT" && code !== "ENOTDIR") onError(path, error as NodeJS.ErrnoException);
    return false;
  }
}

async function isDirectory(path: string, entry: Dirent, visits: Visits | undefined): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  visits?.unsure(); // where it leads may become a directory without a trace in this one
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false; // dangling, or a loop of links
  }
}

function matchSegments(segments: readonly Segment[], i: number, names: readonly string[], j: number): boolean {
  for (; i < segments.length; i++, j++) {
    const segment = segments[i]!;
    if (segment === ANY_DIRECTORIES) {
      if (i === segments.length - 1) return true;
      for (let k = j; k <= names.length; k++) if (matchSegments(segments, i + 1, names, k)) return true;
      return false;
    }
    const name = names[j];
    if (name === undefined) return false;
    if (typeof segment === "string" ? segment !== name : !matchTokens(segment as readonly Token[], name)) return false;
  }
  return j === names.length;
}

function matchTokens(tokens: readonly Token[], text: string): boolean {
  const chars = [...text];
  let i = 0;
  let j = 0;
  let starAt = -1;
  let starFrom = 0;
  while (j < chars.length) {
    const token = tokens[i];
    if (token?.kind === "star") {
      starAt = i++;
      starFrom = j;
    } else if (token !== undefined && matchToken(token, chars[j]!)) {
      i += 1;
      j += 1;
    } else if (starAt >= 0) {
      i = starAt + 1;
      j = ++starFrom;
    } else {
      return false;
    }
  }
  while (tokens[i]?.kind === "star") i++;
  return i === tokens.length;
}

function matchToken(token: Token, char: string): boolean {
  if (token.kind === "char") return token.char === char;
  if (token.kind !== "class") return true;
  const code = char.codePointAt(0)!;
  return token.ranges.some(([low, high]) => low <= code && code <= high) !== token.negated;
}

function compileSegment(text: string): Segment {
  if (text === "**") return ANY_DIRECTORIES;
  const tokens: Token[] = [];
  const chars = [...text];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i]!;
    if (char === "*") {
      if (tokens.at(-1)?.kind !== "star") tokens.push({ kind: "star" });
    } else if (char === "?") tokens.push({ kind: "any" });
    else if (char === "[") i = compileClass(chars, i + 1, text, tokens);
    else if (char === "\\") {
      if (i + 1 >= chars.length) throw new GlobError(`${text}: nothing follows the backslash`);
      tokens.push({ kind: "char", char: chars[++i]! });
    } else tokens.push({ kind: "char", char });
  }
  if (tokens.every((token) => token.kind === "char"))
    return tokens.map((token) => (token as { char: string }).char).join("");
  return tokens;
}

/** Compiles from behind `[`; returns the index of the `]`. */
function compileClass(chars: readonly string[], from: number, text: string, tokens: Token[]): number {
  let i = from;
  const negated = chars[i] === "^" || chars[i] === "!";
  if (negated) i += 1;
  if (chars[i] === "]") throw new GlobError(`${text}: the class is empty`);
  const ranges: [number, number][] = [];
  const next = () => {
    if (chars[i] === "\\") i += 1;
    if (i >= chars.length) throw new GlobError(`${text}: the class is not closed by ]`);
    return chars[i++]!.codePointAt(0)!;
  };
  while (chars[i] !== "]") {
    const low = next();
    let high = low;
    if (chars[i] === "-" && i + 1 < chars.length && chars[i + 1] !== "]") {
      i += 1;
      high = next();
    }
    ranges.push([low, high]);
  }
  tokens.push({ kind: "class", negated, ranges });
  return i;
}

/** All the patterns without braces that a pattern stands for. */
function expandBraces(pattern: string): string[] {
  const open = indexOutsideClass(pattern, "{");
  if (open < 0) {
    if (indexOutsideClass(pattern, "}") >= 0) throw new GlobError(`${pattern}: } without {`);
    return [pattern];
  }
  const close = closingBrace(pattern, open);
  if (close < 0) throw new GlobError(`${pattern}: { is not closed by }`);
  const out: string[] = [];
  for (const alternative of splitAlternatives(pattern.slice(open + 1, close))) {
    for (const expanded of expandBraces(pattern.slice(0, open) + alternative + pattern.slice(close + 1))) {
      out.push(expanded);
      if (out.length > MAX_ALTERNATIVES) throw new GlobError(`${pattern}: more than ${MAX_ALTERNATIVES} alternatives`);
    }
  }
  return out;
}

function indexOutsideClass(text: string, char: string): number {
  let inClass = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i += 1;
    else if (inClass) inClass = text[i] !== "]";
    else if (text[i] === "[") inClass = true;
    else if (text[i] === char) return i;
  }
  return -1;
}

function closingBrace(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "{") depth += 1;
    else if (text[i] === "}" && --depth === 0) return i;
  }
  return -1;
}

function splitAlternatives(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "{") depth += 1;
    else if (text[i] === "}") depth -= 1;
    else if (text[i] === "," && depth === 0) {
      out.push(text.slice(from, i));
      from = i + 1;
    }
  }
  out.push(text.slice(from));
  return out;
}
