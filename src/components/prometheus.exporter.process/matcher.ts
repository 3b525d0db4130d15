import type { Regex } from "#base/regex";
import { GoTemplate, TemplateError, type TemplateValue } from "#formats/go-template/go-template";
import { StringMap } from "#formats/go-template/values";
import { TimeZone } from "#formats/go-time/zone";
import { s } from "#lang/schema";
import type { Identity } from "./process-files.ts";

export const matcherSchema = s
  .object({
    name: s
      .string()
      .default("{{.ExeBase}}")
      .doc(
        "Name of the group, a Go template over Comm, ExeBase, ExeFull, Username, PID, StartTime, Cgroups and Matches.",
      ),
    comm: s.list(s.string()).optional().doc("Names of programs, any of which matches: at most 15 characters each."),
    exe: s
      .list(s.string())
      .optional()
      .doc("First words of command lines, any of which matches: with their path, or without it for any path."),
    cmdline: s
      .list(s.regex())
      .optional()
      .doc("Expressions that all have to match the command line; their named groups are in `.Matches`."),
  })
  .rule(
    "comm",
    ({ comm, exe, cmdline }) => comm !== undefined || exe !== undefined || cmdline !== undefined,
    "is missing, and `exe` and `cmdline` as well: say which processes belong to the group with at least one of them",
  )
  .rule(
    "name",
    ({ name }) => templateProblem(name) === undefined,
    ({ name }) => templateProblem(name)!,
  );

export interface MatcherArguments {
  readonly name: string;
  readonly comm: readonly string[] | undefined;
  readonly exe: readonly string[] | undefined;
  readonly cmdline: readonly Regex[] | undefined;
}

/** What a name is made of. As in Go, to ask for another field is an error. */
class Fields extends Map<string, TemplateValue> {
  override get(name: string): TemplateValue {
    if (this.has(name)) return super.get(name);
    throw new UnknownField(`uses .${name}, which there is not; there are ${[...this.keys()].join(", ")}`);
  }
}
class UnknownField extends TemplateError {}

const EXAMPLE: Subject = {
  pid: 1,
  identity: { command: "", arguments: [], controlGroups: [], parent: 0, started: 0, userId: 0 },
  userName: () => "",
};

function templateProblem(text: string): string | undefined {
  let template: GoTemplate;
  try {
    template = new GoTemplate(text);
  } catch (error) {
    if (error instanceof TemplateError) return `is no Go template: ${error.message}`;
    throw error;
  }
  try {
    template.execute(fieldsOf(EXAMPLE, new StringMap()));
  } catch (error) {
    if (error instanceof UnknownField) return error.message;
    if (!(error instanceof TemplateError)) throw error; // another one may be for want of a real process
  }
  return undefined;
}

function fieldsOf({ pid, identity, userName }: Subject, matches: StringMap): Fields {
  const { command, arguments: words } = identity;
  const full = words[0] ?? command;
  return new Fields([
    ["Comm", command],
    ["Cgroups", [...identity.controlGroups]],
    ["ExeBase", words.length === 0 ? full : baseName(full)],
    ["ExeFull", full],
    ["Matches", matches],
    ["Username", userName()],
    ["PID", BigInt(pid)],
    ["StartTime", { ms: identity.started, ns: 0, zone: TimeZone.utc }],
  ]);
}

/** What a matcher goes by. */
export interface Subject {
  readonly pid: number;
  readonly identity: Identity;
  /** The name of the user, or their number where they have none. */
  userName(): string;
}

/** Gives a process the name of its group: undefined for one that belongs to none. */
export type Namer = (subject: Subject) => string | undefined;

/** The first matcher that matches names the group, as process-exporter's config/config.go has it. */
export function compileMatchers(matchers: readonly MatcherArguments[]): Namer {
  const namers = matchers.map(compileMatcher);
  return (subject) => {
    for (const namer of namers) {
      const name = namer(subject);
      if (name !== undefined) return name;
    }
    return undefined;
  };
}

function compileMatcher({ name, comm, exe, cmdline }: MatcherArguments): Namer {
  const commands = comm === undefined ? undefined : new Set(comm);
  const programs = exe === undefined ? undefined : programsByBase(exe);
  const template = new GoTemplate(name);
  return (subject) => {
    const { identity } = subject;
    const { command, arguments: words } = identity;
    if (commands !== undefined && !commands.has(command)) return undefined;
    if (programs !== undefined && !isProgram(programs, words)) return undefined;
    const matches = new StringMap();
    if (cmdline !== undefined && !matchLine(cmdline, words.join(" "), matches)) return undefined;
    try {
      return template.execute(fieldsOf(subject, matches));
    } catch (error) {
      // As upstream: what a template that fails has written so far is the name; most write nothing before.
      if (error instanceof TemplateError) return "";
      throw error;
    }
  };
}

/** Whole paths by their last part; empty for any path. */
function programsByBase(exe: readonly string[]): ReadonlyMap<string, string> {
  return new Map(exe.map((path) => (path.includes("/") ? [baseName(path), path] : [path, ""])));
}

function isProgram(programs: ReadonlyMap<string, string>, words: readonly string[]): boolean {
  const first = words[0];
  if (first === undefined) return false;
  const path = programs.get(baseName(first));
  return path !== undefined && (path === "" || path === first);
}

/** Puts the texts of all groups into `matches`, those without a name under the empty one. */
function matchLine(expressions: readonly Regex[], line: string, matches: Map<string, TemplateValue>): boolean {
  for (const expression of expressions) {
    const found = expression.exec(line);
    if (found === null) return false;
    for (const [i, name] of expression.groupNames.entries()) matches.set(name, found[i] ?? "");
  }
  return true;
}

/** Go's `filepath.Base`. */
function baseName(path: string): string {
  if (path === "") return ".";
  const trimmed = path.replace(/\/+$/, "");
  return trimmed === "" ? "/" : trimmed.slice(trimmed.lastIndexOf("/") + 1);
}
