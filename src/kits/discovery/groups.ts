import { type Document, LineCounter, parseDocument, visit } from "yaml";
import { Labels } from "#base/labels";
import { JsonError, JsonReader } from "#formats/json-reader";
import { Answer, AnswerError, type AnswerPath } from "./answer.ts";
import type { TargetGroup } from "./labels.ts";

/** A text that holds no groups of targets. The message says what is wrong and, where that is known, on which line. */
export class GroupsError extends Error {
  override readonly name = "GroupsError";
}

/** Aliases of YAML may multiply what is there; nobody has this many. */
const MAX_TARGETS = 1_000_000;

/**
 * Groups of targets as Prometheus's files and HTTP answers have them: a list of `{targets: […], labels: {…}}`, and nothing
 * else (prometheus/discovery/targetgroup). Each group gets `extra` as a label too. Throws a GroupsError.
 */
export function readGroups(bytes: Uint8Array, form: "json" | "yaml", extra: readonly [string, string]): TargetGroup[] {
  const text = new TextDecoder().decode(bytes);
  const value = form === "json" ? parseJson(text) : parseYaml(text);
  try {
    return groupsOf(new Answer(value), form, extra);
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    const line = lineOf(text, error.path);
    throw new GroupsError(`${line === undefined ? "" : `line ${line}: `}${error.message}`);
  }
}

function groupsOf(list: Answer, form: "json" | "yaml", [name, value]: readonly [string, string]): TargetGroup[] {
  let count = 0;
  return list.items().map((group) => {
    if (group.isNothing) throw new AnswerError(group.path, "must be a group, with `targets` and `labels`");
    let targets: readonly Labels[] = [];
    const labels = new Map<string, string>();
    for (const [key, field] of group.entries()) {
      // As Go's encoding/json has it, which its YAML has not.
      const known = form === "json" ? key.toLowerCase() : key;
      if (known === "targets") {
        const addresses = field.texts();
        count += addresses.length;
        if (count > MAX_TARGETS) throw new AnswerError(field.path, `brings more than ${MAX_TARGETS} targets`);
        targets = addresses.map((address) => Labels.fromSorted(["__address__", address]));
      } else if (known === "labels") {
        for (const [label, text] of field.textMap()) {
          if (label === "") throw new AnswerError(field.path, "has a label without a name");
          labels.set(label, text);
        }
      } else throw new AnswerError(field.path, "is not known: a group has `targets` and `labels`");
    }
    labels.set(name, value);
    return { targets, labels: Labels.from(labels) };
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Node's message quotes the text and does not always tell the place.
    const bytes = Buffer.from(text);
    const reader = new JsonReader(bytes);
    try {
      reader.skip();
      reader.finish();
    } catch (problem) {
      if (!(problem instanceof JsonError)) throw problem;
      const line = bytes.toString("utf8", 0, reader.position).split("\n").length;
      const what = problem.message.replace(/ at byte \d+$/, "");
      throw new GroupsError(`line ${line}: this is no valid JSON: ${what}`);
    }
    throw new GroupsError("this is no valid JSON");
  }
}

/** Scalars stay text, as Go reads them into texts; `null` and `~` are nothing. */
function parseYaml(text: string): unknown {
  const lines = new LineCounter();
  const document = yamlDocument(text, lines);
  const error = document.errors.find(({ code }) => code !== "MULTIPLE_DOCS");
  if (error !== undefined) {
    const { line } = lines.linePos(error.pos[0]);
    throw new GroupsError(`line ${line}: this is no valid YAML: ${error.code.toLowerCase().replaceAll("_", " ")}`);
  }
  visit(document, {
    Scalar(key, node) {
      const isNull =
        node.type === "PLAIN" && node.tag === undefined && /^(?:|~|null|Null|NULL)$/.test(String(node.value));
      if (isNull && key !== "key") (node as { value: unknown }).value = null;
    },
  });
  try {
    return document.toJS({ maxAliasCount: -1 });
  } catch (problem) {
    throw new GroupsError(`this is no valid YAML: ${(problem as Error).message}`); // of aliases and merges
  }
}

/** The line of a value in a text that was read, JSON being YAML. */
function lineOf(text: string, path: AnswerPath): number | undefined {
  const lines = new LineCounter();
  const document = yamlDocument(text, lines);
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as { readonly range?: readonly number[] } | undefined;
    if (node?.range != null) return lines.linePos(node.range[0]!).line;
  }
  return undefined;
}

function yamlDocument(text: string, lineCounter: LineCounter): Document.Parsed {
  return parseDocument(text, {
    schema: "failsafe",
    merge: true,
    strict: false,
    uniqueKeys: true,
    logLevel: "silent",
    lineCounter,
  });
}
