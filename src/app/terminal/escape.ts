/** Control characters, half characters, line ends of Unicode, and what changes the direction of what follows. */
const UNSAFE = /(?!\t)[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const NAMED: ReadonlyMap<string, string> = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
]);

/** Text of others on one line: shows what a terminal would act on as escapes, instead of having it done. Tabs stay. */
export function escapeControls(text: string): string {
  return text.replace(
    UNSAFE,
    (character) => NAMED.get(character) ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
