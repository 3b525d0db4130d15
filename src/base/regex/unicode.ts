import { clip, MAX_CODE_POINT, negate, normalize, type Ranges } from "./ranges.ts";

/**
 * Case folding and Unicode classes, as Go's package unicode has them. The tables are those of the JavaScript engine,
 * hence of a newer Unicode version than Go's: characters that were assigned since then are classified, not unassigned.
 */

/** Simple foldings that Unicode gained after the version that Go knows. */
const YOUNG_FOLDS = new Set([0x390, 0x1fd3, 0x3b0, 0x1fe3, 0xfb05, 0xfb06]);

/** The lowest and highest code point that folds to another one. */
const MIN_FOLD = 0x41;
const MAX_FOLD = 0x1e943;

let allCodePoints: string[] | undefined;
let foldable: string | undefined;
const propertyCache = new Map<string, Ranges | undefined>();

/** The set with everything that differs from a member in case only (`unicode.SimpleFold`). */
export function fold(ranges: Ranges): Ranges {
  const pairs: number[] = [...ranges];
  for (let i = 0; i < ranges.length; i += 2) {
    const low = ranges[i]!;
    const high = ranges[i + 1]!;
    if (low <= MIN_FOLD && high >= MAX_FOLD) continue;
    if (high < 0x80) foldAscii(low, high, pairs);
    else if (low <= MAX_FOLD) foldBeyondAscii(low, high, pairs);
  }
  return normalize(pairs);
}

/** Keeps the common case free of the tables. `k` has the Kelvin sign, `s` the long s. */
function foldAscii(low: number, high: number, pairs: number[]): void {
  const shift = (from: number, to: number, by: number) => {
    const part = clip([low, high], from, to);
    if (part.length > 0) pairs.push(part[0]! + by, part[1]! + by);
  };
  shift(0x41, 0x5a, 32);
  shift(0x61, 0x7a, -32);
  const has = (char: string) => [char, char.toUpperCase()].some((each) => inside(each.charCodeAt(0), low, high));
  if (has("k")) pairs.push(0x212a, 0x212a);
  if (has("s")) pairs.push(0x17f, 0x17f);
}

function inside(code: number, low: number, high: number): boolean {
  return low <= code && code <= high;
}

function foldBeyondAscii(low: number, high: number, pairs: number[]): void {
  foldable ??= codePoints()
    .map((part) => part.match(/[\p{Changes_When_Casemapped}\p{Changes_When_Casefolded}]/gu)?.join("") ?? "")
    .join("");
  const matcher = new RegExp(`[\\u{${low.toString(16)}}-\\u{${high.toString(16)}}]`, "giu");
  for (const [char] of foldable.matchAll(matcher)) {
    const code = char.codePointAt(0)!;
    if (!YOUNG_FOLDS.has(code)) pairs.push(code, code);
  }
}

/** The members of `\p{name}`, or undefined if Go knows no such class. `foldCase`: with everything that differs in case only. */
export function unicodeClass(name: string, foldCase: boolean): Ranges | undefined {
  const canonical = canonicalName(name);
  const key = `${canonical}${foldCase ? "/i" : ""}`;
  if (!propertyCache.has(key)) {
    const plain = lookUp(canonical);
    // Go folds what is assigned as it is, but the inverse of unassigned; nothing unassigned has a case.
    propertyCache.set(key, plain === undefined || !foldCase ? plain : fold(plain));
  }
  return propertyCache.get(key);
}

function lookUp(name: string): Ranges | undefined {
  if (name === "Any") return [0, MAX_CODE_POINT];
  if (name === "Ascii") return [0, 0x7f];
  if (name === "Assigned") return negate(lookUp("Cn")!);
  if (name === "Lc" || name === "Casedletter") return scan("LC");
  const category = CATEGORIES.has(name) ? name : CATEGORY_ALIASES.get(name);
  if (category !== undefined) return scan(category);
  const script = scriptName(name);
  return script === undefined ? undefined : scan(`Script=${script}`);
}

/**
 * Scripts by their long names, in any case, with or without underscores. Go 1.25 and 1.26 no longer find the names that
 * are written with underscores, which older versions did; we do.
 */
function scriptName(canonical: string): string | undefined {
  for (const script of SCRIPTS.split(" "))
    if (script.replaceAll("_", "").toLowerCase() === canonical.toLowerCase()) return script;
  return undefined;
}

/** First letter in upper case, the others in lower case, without spaces, hyphens and underscores (`canonicalName` of regexp/syntax). */
function canonicalName(name: string): string {
  const letters = name.replace(/[-_ ]/g, "").replace(/[A-Z]/g, (char) => char.toLowerCase());
  return letters.replace(/^[a-z]/, (char) => char.toUpperCase());
}

/** Runs the engine's own property over all code points, once for each property that a pattern names. */
function scan(property: string): Ranges {
  const matcher = new RegExp(`\\p{${property}}+`, "gu");
  const pairs: number[] = [];
  for (const [plane, part] of codePoints().entries()) {
    const unit = plane === 0 || plane === 1 ? 1 : 2;
    for (const match of part.matchAll(matcher)) {
      const first = PART_STARTS[plane]! + match.index / unit;
      pairs.push(first, first + match[0].length / unit - 1);
    }
  }
  if (/^(Cs|C)$/.test(property)) pairs.push(0xd800, 0xdfff);
  return normalize(pairs);
}

const PART_STARTS = [0, 0xe000, 0x10000];

/** All code points but the surrogates, in three texts: below them, the rest of the first plane, the other planes. */
function codePoints(): string[] {
  if (allCodePoints === undefined) {
    const text = (from: number, to: number) => {
      const pieces: string[] = [];
      for (let code = from; code < to; code += 4096) {
        pieces.push(String.fromCodePoint(...Array.from({ length: Math.min(4096, to - code) }, (_, i) => code + i)));
      }
      return pieces.join("");
    };
    const parts = [text(0, 0xd800), text(0xe000, 0x10000), text(0x10000, MAX_CODE_POINT + 1)];
    allCodePoints = parts;
    // 4 MB, wanted while configurations load and rarely after.
    setTimeout(() => (allCodePoints = undefined), 10_000).unref?.();
  }
  return allCodePoints;
}

const CATEGORIES = new Set(
  "C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs".split(" "),
);

/** By canonical name. */
const CATEGORY_ALIASES: ReadonlyMap<string, string> = new Map(
  (
    "Closepunctuation Pe Combiningmark M Connectorpunctuation Pc Control Cc Currencysymbol Sc Dashpunctuation Pd " +
    "Decimalnumber Nd Enclosingmark Me Finalpunctuation Pf Format Cf Initialpunctuation Pi Letter L Letternumber Nl " +
    "Lineseparator Zl Lowercaseletter Ll Mark M Mathsymbol Sm Modifierletter Lm Modifiersymbol Sk Nonspacingmark Mn " +
    "Number N Openpunctuation Ps Other C Otherletter Lo Othernumber No Otherpunctuation Po Othersymbol So " +
    "Paragraphseparator Zp Privateuse Co Punctuation P Separator Z Spaceseparator Zs Spacingmark Mc Surrogate Cs " +
    "Symbol S Titlecaseletter Lt Unassigned Cn Uppercaseletter Lu Cntrl Cc Digit Nd Punct P"
  )
    .match(/\S+ \S+/g)!
    .map((pair) => pair.split(" ") as [string, string]),
);

const SCRIPTS =
  "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo " +
  "Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common " +
  "Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs " +
  "Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul " +
  "Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi " +
  "Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki " +
  "Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean " +
  "Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi " +
  "Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong " +
  "Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian " +
  "Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi " +
  "Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese " +
  "Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan " +
  "Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square";
