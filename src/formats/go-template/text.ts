/**
 * What sprig's functions do with texts, from github.com/Masterminds/goutils and github.com/huandu/xstrings. Widths and
 * places are counted in bytes, as there; a character that is cut in two becomes U+FFFD.
 */

/** The bytes `[start, end)` of a text. */
function bytes(text: Buffer, start: number, end?: number): string {
  return text.toString("utf8", start, end);
}

/** At most `width` bytes, with `...` for what is left out behind and, from `offset` on, in front. */
export function abbreviate(value: string, offset: number, width: number): string {
  const text = Buffer.from(value);
  const { length } = text;
  if (length <= width) return value;
  const room = width - 3;
  const from = Math.min(offset, length);
  const start = length - from < room ? length - room : from;
  if (start <= 4) return `${bytes(text, 0, room)}...`;
  if (start + room < length) return room < 4 ? "..." : `...${abbreviate(bytes(text, start), 0, room)}`;
  return `...${bytes(text, length - room)}`;
}

/** Breaks lines at spaces so that they have at most `width` bytes; longer words are cut if `cutsWords`. */
export function wrapText(value: string, width: number, lineBreak: string, cutsWords: boolean): string {
  const text = Buffer.from(value);
  const size = Math.max(width, 1);
  const between = lineBreak === "" ? "\n" : lineBreak;
  let out = "";
  let at = 0;
  while (text.length - at > size) {
    if (text[at] === 0x20) {
      at += 1;
      continue;
    }
    const space = text.subarray(at, at + size + 1).lastIndexOf(0x20);
    let end: number;
    let next: number;
    if (space >= 0) {
      end = at + space;
      next = end + 1;
    } else if (cutsWords) {
      end = next = at + size;
    } else {
      end = text.indexOf(0x20, at + size);
      if (end < 0) break;
      next = end + 1;
    }
    out += bytes(text, at, end) + between;
    at = next;
  }
  return out + bytes(text, at);
}

/** The first bytes of the words. */
export function initials(value: string): string {
  return [...value.matchAll(/(?:^|[\s\x85\xa0])([^\s\x85\xa0])/g)].map(([, first]) => first).join("");
}

export function swapCase(value: string): string {
  return value.replace(/\p{L}/gu, (char) => {
    if (/[\p{Lu}\p{Lt}]/u.test(char)) return char.toLowerCase();
    const upper = char.toUpperCase();
    return [...upper].length === 1 ? upper : char; // Go knows no letters that become several
  });
}

const CONNECTOR = /[-_\s]/u;

/** `some_words` and `someWords` as `SomeWords`; connectors in front stay, of several one is taken. */
export function pascalCase(value: string): string {
  const [, lead, rest] = /^([-_\s]*)([\s\S]*)$/u.exec(value)!;
  if (rest === "") return lead!;
  let out = "";
  // Whether the word began in capitals, which then are one word: `HTTP` becomes `Http`.
  let isLowering = false;
  let startsWord = true;
  const chars = [...rest!];
  for (const [i, char] of chars.entries()) {
    if (CONNECTOR.test(char)) {
      // The last of several connectors is taken, and one that nothing follows stays.
      if (i === chars.length - 1 || CONNECTOR.test(chars[i + 1]!)) out += char;
      startsWord = true;
      continue;
    }
    const isUpper = /\p{Lu}/u.test(char);
    if (startsWord) {
      out += char.toUpperCase();
      isLowering = isUpper;
    } else {
      isLowering &&= isUpper;
      out += isLowering ? char.toLowerCase() : char;
    }
    startsWord = false;
  }
  return lead + out;
}

interface Word {
  readonly kind: "connector" | "punctuation" | "upper" | "alphabet" | "number" | "other" | "end";
  readonly text: string;
}

const WORDS =
  /(?<connector>[-_\s]+)|(?<punctuation>(?:(?![-_\s])\p{P})+)|(?<upper>\p{Lu}+(?=\p{Lu}\p{Ll})|\p{Lu}{2,}|\p{Lu}(?:(?!\p{Lu})\p{L})*)|(?<alphabet>(?:(?!\p{Lu})\p{L})+)|(?<number>\p{N}+)|(?<other>(?:(?![-_\s\p{P}\p{L}\p{N}])[\s\S])+)/gu;
const END: Word = { kind: "end", text: "" };

/** `someWords` and `SomeHTTPWords` in small letters with a connector between: `some_http_words`. */
export function connectedWords(value: string, connector: string): string {
  const words: Word[] = [...value.matchAll(WORDS)].map(({ groups }) => {
    const [kind, text] = Object.entries(groups!).find(([, found]) => found !== undefined)!;
    return { kind: kind as Word["kind"], text };
  });
  const at = (i: number) => words[i] ?? END;
  const isLetters = ({ kind }: Word) => kind === "alphabet" || kind === "number";
  /** Whether something goes between a word and the next one. */
  const separates = ({ kind }: Word) => kind !== "connector" && kind !== "punctuation" && kind !== "end";
  let out = "";
  for (let i = 0; i < words.length; ) {
    const word = at(i++);
    if (word.kind === "connector") out += [...word.text].map(() => connector).join("");
    else out += word.kind === "upper" ? word.text.toLowerCase() : word.text;
    if (i >= words.length || word.kind === "connector" || word.kind === "punctuation") continue;
    if (word.kind !== "number") {
      if (at(i).kind !== "number") {
        if (separates(at(i))) out += connector;
        continue;
      }
      if (i === words.length - 1) continue;
      if (at(i + 1).kind !== "alphabet") {
        // A number belongs to the word before it …
        out += at(i++).text;
        if (separates(at(i))) out += connector;
        continue;
      }
      out += connector; // … but to the small letters behind it if there are some
    }
    while (isLetters(at(i))) out += at(i++).text;
    if (separates(at(i))) out += connector;
  }
  return out;
}
