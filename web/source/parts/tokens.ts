/** Light highlighting of the configuration language. For looks only: it takes any text and gives all of it back. */

export type TokenKind = "comment" | "string" | "number" | "keyword" | "attribute" | "block" | "reference" | "plain";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** The id of the node that a reference means. */
  readonly id?: string;
}

const TOKEN =
  /(\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|("(?:[^"\\\n]|\\.)*"?|`[^`]*`?)|(\d[\w.]*)|([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)|(\s+|[^\s\w"`/]+|.)/gsy;
const KEYWORDS = new Set(["true", "false", "null"]);

/** `references` are the ids of the nodes that the text may name, as `mod.a/loki.write.default`. */
export function tokens(text: string, references: readonly string[] = []): readonly Token[] {
  const byLocalId = new Map(references.map((id) => [localIdOf(id), id]));
  const found: Token[] = [];
  for (const match of text.matchAll(TOKEN)) {
    const [whole, comment, string, number, name] = match;
    if (name !== undefined) found.push(...nameTokens(name, text.slice(match.index + name.length), byLocalId));
    else if (comment !== undefined) found.push({ kind: "comment", text: whole });
    else if (string !== undefined) found.push({ kind: "string", text: whole });
    else found.push({ kind: number === undefined ? "plain" : "number", text: whole });
  }
  return found;
}

function nameTokens(name: string, rest: string, byLocalId: ReadonlyMap<string, string>): readonly Token[] {
  if (KEYWORDS.has(name)) return [{ kind: "keyword", text: name }];
  if (/^\s*=(?!=)/.test(rest)) return [{ kind: "attribute", text: name }];
  if (/^[ \t]*("[^"\n]*"[ \t]*)?\{/.test(rest)) return [{ kind: "block", text: name }];
  const parts = name.split(".");
  for (let length = parts.length; length > 0; length--) {
    const text = parts.slice(0, length).join(".");
    const id = byLocalId.get(text);
    if (id === undefined) continue;
    const after = name.slice(text.length);
    const reference: Token = { kind: "reference", text, id };
    return after === "" ? [reference] : [reference, { kind: "plain", text: after }];
  }
  return [{ kind: "plain", text: name }];
}

/** The same tokens line by line; those that go over several lines are cut. */
export function tokenLines(text: string, references: readonly string[] = []): readonly (readonly Token[])[] {
  const lines: Token[][] = [[]];
  for (const token of tokens(text, references)) {
    token.text.split("\n").forEach((part, i) => {
      if (i > 0) lines.push([]);
      if (part !== "") lines.at(-1)!.push({ ...token, text: part });
    });
  }
  return lines;
}

/** `loki.write.default` of `mod.a/loki.write.default`. */
export function localIdOf(id: string): string {
  return id.slice(id.lastIndexOf("/") + 1);
}
