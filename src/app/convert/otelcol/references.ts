import { quoteString } from "#lang/literal";
import type { Expand } from "../environment.ts";
import { labelFor, type Names } from "../names.ts";
import { Body } from "../output.ts";
import type { Report } from "../report.ts";

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * The references of a Collector's configuration (confmap, docs/rfcs/env-vars.md): `${env:NAME}`, `${NAME}`, both with
 * `:-default`, and `${file:PATH}`, which becomes a local.file. `$$` is a dollar sign, and a `$` without braces nothing
 * special. References to other places stay as they are, and are errors of the report.
 */
export class References {
  readonly #report: Report;
  readonly #names: Names;
  readonly #files = new Map<string, string>();

  constructor(report: Report, names: Names) {
    this.#report = report;
    this.#names = names;
  }

  readonly expand: Expand = (source, mark) => {
    const lines = source.split("\n");
    return lines.map((line, i) => (/^\s*#/.test(line) ? line : this.#line(line, i + 1, mark))).join("\n");
  };

  #line(line: string, number: number, mark: Parameters<Expand>[1]): string {
    let out = "";
    let at = 0;
    for (let dollar = line.indexOf("$"); dollar >= 0; dollar = line.indexOf("$", at)) {
      out += line.slice(at, dollar);
      const end = line[dollar + 1] === "{" ? closingBrace(line, dollar + 2) : -1;
      if (line[dollar + 1] === "$") {
        out += "$";
        at = dollar + 2;
      } else if (end < 0) {
        out += "$";
        at = dollar + 1;
      } else {
        out += this.#reference(line.slice(dollar + 2, end), number, mark);
        at = end + 1;
      }
    }
    return out + line.slice(at);
  }

  #reference(inside: string, line: number, mark: Parameters<Expand>[1]): string {
    const [, scheme = "env", rest = ""] = /^(?:([A-Za-z][A-Za-z0-9+.-]+):(?!-))?(.*)$/s.exec(inside)!;
    if (scheme === "file" && rest !== "")
      return mark({ expression: this.contentOf(quoteString(rest), rest.split("/").at(-1) || "file") });
    const [variable, fallback] = splitOnce(rest, ":-");
    if (scheme === "env" && VARIABLE.test(variable)) return mark({ variable, fallback });
    const why =
      scheme === "env"
        ? "what it refers to is no name of a variable, so that the Collector refuses it; a dollar sign is written as $$"
        : `the output cannot refer to ${scheme}, only to the environment and to files`;
    // Not what is inside, which may be a URL with credentials.
    this.#report.add("Error", `line ${line}`, `a reference \${${scheme}:…} stays as it is: ${why}`);
    return `\${${inside}}`;
  }

  /** What is in a file without spaces around it, as an expression: the Collector cuts them off. */
  contentOf(path: string, wanted: string): string {
    let label = this.#files.get(path);
    if (label === undefined) this.#files.set(path, (label = this.#names.take("local.file", labelFor(wanted))));
    return `string.trim_space(convert.nonsensitive(local.file.${label}.content))`;
  }

  /** The local.file components of the files that an output refers to. */
  attachFiles(out: Body): void {
    if (this.#files.size === 0) return;
    const text = out.print();
    for (const [path, label] of this.#files) {
      if (!text.includes(`local.file.${label}.content`)) continue;
      const body = new Body();
      body.attribute("filename", path);
      body.attribute("is_secret", "true");
      out.attach("local.file", body, label);
    }
  }
}

/** Where the brace that was opened before `from` closes again, on this line; -1 for nowhere. */
function closingBrace(line: string, from: number): number {
  let depth = 1;
  for (let i = from; i < line.length; i++) {
    if (line[i] === "{") depth += 1;
    if (line[i] === "}" && --depth === 0) return i;
  }
  return -1;
}

function splitOnce(text: string, by: string): readonly [string, string | undefined] {
  const at = text.indexOf(by);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + by.length)];
}
