import { parseXML } from "@aws-sdk/xml-builder";
import { Answer } from "#kits/discovery/answer";

/**
 * An answer of EC2's Query API, in which lists are elements that hold an `item` each time. Throws an Error for what is no
 * XML.
 */
export function readQueryAnswer(body: Buffer): Answer {
  return new Answer(withLists(parseXML(body.toString()), ""));
}

function withLists(value: unknown, name: string): unknown {
  // An empty list has no items that would tell it from an empty text.
  if (value === "" && /(?:Set|Info)$/.test(name)) return [];
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (Object.hasOwn(fields, "item")) {
    const items = Array.isArray(fields.item) ? fields.item : [fields.item];
    return items.map((item) => withLists(item, ""));
  }
  return Object.fromEntries(Object.entries(fields).map(([key, each]) => [key, withLists(each, key)]));
}

/** What an error answer says: its code and message; undefined if it is none of EC2's. */
export function queryError(body: Buffer): { readonly code: string; readonly message: string } | undefined {
  const text = body.toString();
  const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1];
  return code === undefined ? undefined : { code, message: /<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? "" };
}
