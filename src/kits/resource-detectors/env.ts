import type { Detector, DetectorContext } from "./detector.ts";

/** The second is the older name. */
const VARIABLES = ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_RESOURCE"] as const;
/** A pair with the comma after it. Keys and values are ASCII and short, as the Collector wants them. */
const PAIR = /\s*([\x00-\x7f]{1,256}?)\s*=\s*([\x00-\x7f]{0,256}?)\s*(?:,|$)/y;

/** `name=value,name=value` in a variable, values percent-encoded. Matches internal/env. */
export function envDetector({ environment }: DetectorContext): Detector {
  return {
    async detect() {
      const name = VARIABLES.find((each) => environment[each]?.trim());
      const extras = name === undefined ? new Map<string, string>() : parsePairs(name, environment[name]!.trim());
      return { attributes: {}, extras, schemaUrl: "" };
    },
  };
}

function parsePairs(variable: string, text: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (PAIR.lastIndex = 0; PAIR.lastIndex < text.length; ) {
    const at = PAIR.lastIndex;
    const match = PAIR.exec(text);
    if (match === null) {
      throw new Error(
        `${variable} cannot be read from ${JSON.stringify(text.slice(at, at + 40))} on: write name=value pairs with commas between them`,
      );
    }
    pairs.set(match[1]!, decoded(variable, match[2]!));
  }
  return pairs;
}
/** As in queries: `+` is a space. */
function decoded(variable: string, value: string): string {
  try {
    return decodeURIComponent(value.replaceAll("+", " "));
  } catch (error) {
    throw new Error(`${variable} has a value that is not percent-encoded as it should be: ${JSON.stringify(value)}`, {
      cause: error,
    });
  }
}
