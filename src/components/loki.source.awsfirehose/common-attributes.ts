const PREFIX = "lbl_";
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** What Alloy makes an underscore of (PromString of yet-another-cloudwatch-exporter). */
const TO_UNDERSCORE = /[ ,\t/\\.\-:=@<>()“]/g;
const WORD_START = /(?<=[\p{Ll}\p{Nd}])(?=\p{Lu})/gu;

export type AttributeProblem = "invalid_json_format" | "invalid_label_name";

/**
 * The labels in the header X-Amz-Firehose-Common-Attributes, `{"commonAttributes":{"lbl_NAME":"value"}}`, flat. Names that
 * are not valid are mended as Alloy mends them, if that is possible. `header` has a character for each byte.
 */
export function labelsOfAttributes(header: string, invalid: (reason: AttributeProblem) => void): string[] {
  if (header === "") return [];
  const attributes = readAttributes(header);
  if (attributes === undefined) {
    invalid("invalid_json_format");
    return [];
  }
  const flat: string[] = [];
  for (const [key, value] of attributes) {
    if (!key.startsWith(PREFIX)) continue;
    const raw = key.slice(PREFIX.length);
    const name = LABEL_NAME.test(raw) ? raw : mended(raw);
    if (LABEL_NAME.test(name)) flat.push(name, value);
    else invalid("invalid_label_name");
  }
  return flat;
}

/** Undefined if the header is no such JSON. */
function readAttributes(header: string): readonly (readonly [string, string])[] | undefined {
  let root: unknown;
  try {
    root = JSON.parse(Buffer.from(header, "latin1").toString());
  } catch {
    return undefined;
  }
  if (typeof root !== "object" || root === null || Array.isArray(root)) return undefined;
  const attributes: unknown = Object.entries(root).find(([key]) => key === "commonAttributes")?.[1] ?? {};
  if (typeof attributes !== "object" || attributes === null || Array.isArray(attributes)) return undefined;
  const entries = Object.entries(attributes as Record<string, unknown>);
  return entries.every((entry): entry is [string, string] => typeof entry[1] === "string") ? entries : undefined;
}

function mended(name: string): string {
  return name.replaceAll(WORD_START, "_").replaceAll(TO_UNDERSCORE, "_").replaceAll("%", "_percent").toLowerCase();
}
