/** The W3C `tracestate` of spans. Matches go.opentelemetry.io/otel/trace/tracestate.go. */

const KEY = /^(?:[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})$/;
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const MOST = 32;

/** The members in order; undefined for a text that is no trace state. */
function parse(text: string): (readonly [key: string, value: string])[] | undefined {
  const members: (readonly [string, string])[] = [];
  if (text === "") return members;
  const seen = new Set<string>();
  for (const part of text.split(",")) {
    if (part.trim() === "") continue;
    const trimmed = part.replace(/^[ \t]+|[ \t]+$/g, "");
    const equals = trimmed.indexOf("=");
    const key = trimmed.slice(0, equals);
    const value = trimmed.slice(equals + 1);
    if (equals < 0 || !KEY.test(key) || !VALUE.test(value) || seen.has(key)) return undefined;
    seen.add(key);
    members.push([key, value]);
    if (members.length > MOST) return undefined;
  }
  return members;
}

/** The value of a member; "" if it is not there, undefined if the text is no trace state. */
export function memberOf(text: string, key: string): string | undefined {
  const members = parse(text);
  return members === undefined ? undefined : (members.find((each) => each[0] === key)?.[1] ?? "");
}

/** The trace state with a member set, which comes first then; undefined where that is not possible. */
export function insertMember(text: string, key: string, value: string): string | undefined {
  const members = parse(text);
  if (members === undefined || !KEY.test(key) || !VALUE.test(value)) return undefined;
  const others = members.filter((each) => each[0] !== key);
  // The last one goes when there is no room.
  const kept = others.slice(0, MOST - 1);
  return [[key, value], ...kept].map((member) => member.join("=")).join(",");
}
