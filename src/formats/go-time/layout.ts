/** Go's reference layouts (time/format.go), cut into elements. */

export type LayoutElement =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "fraction"; readonly digits: number; readonly exact: boolean; readonly separator: "." | "," }
  | { readonly kind: ZoneKind; readonly iso: boolean }
  | { readonly kind: PlainKind };

/** Numeric zones by their shape: -07, -0700, -07:00, -070000, -07:00:00. */
export type ZoneKind = "zoneHour" | "zone" | "zoneColon" | "zoneSeconds" | "zoneColonSeconds";

export type PlainKind =
  | "longMonth"
  | "month"
  | "numMonth"
  | "zeroMonth"
  | "longWeekday"
  | "weekday"
  | "day"
  | "underDay"
  | "zeroDay"
  | "underYearDay"
  | "zeroYearDay"
  | "hour"
  | "hour12"
  | "zeroHour12"
  | "minute"
  | "zeroMinute"
  | "second"
  | "zeroSecond"
  | "longYear"
  | "year"
  | "PM"
  | "pm"
  | "zoneName";

/** The layouts that Go has names for. */
export const NAMED_LAYOUTS: ReadonlyMap<string, string> = new Map([
  ["ANSIC", "Mon Jan _2 15:04:05 2006"],
  ["UnixDate", "Mon Jan _2 15:04:05 MST 2006"],
  ["RubyDate", "Mon Jan 02 15:04:05 -0700 2006"],
  ["RFC822", "02 Jan 06 15:04 MST"],
  ["RFC822Z", "02 Jan 06 15:04 -0700"],
  ["RFC850", "Monday, 02-Jan-06 15:04:05 MST"],
  ["RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"],
  ["RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"],
  ["RFC3339", "2006-01-02T15:04:05Z07:00"],
  ["RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"],
]);

/** Longest first where one is a prefix of another. */
const ELEMENTS: readonly (readonly [text: string, element: LayoutElement])[] = [
  ["January", { kind: "longMonth" }],
  ["Monday", { kind: "longWeekday" }],
  ["MST", { kind: "zoneName" }],
  ["01", { kind: "zeroMonth" }],
  ["02", { kind: "zeroDay" }],
  ["03", { kind: "zeroHour12" }],
  ["04", { kind: "zeroMinute" }],
  ["05", { kind: "zeroSecond" }],
  ["06", { kind: "year" }],
  ["002", { kind: "zeroYearDay" }],
  ["15", { kind: "hour" }],
  ["1", { kind: "numMonth" }],
  ["2006", { kind: "longYear" }],
  ["2", { kind: "day" }],
  ["__2", { kind: "underYearDay" }],
  ["3", { kind: "hour12" }],
  ["4", { kind: "minute" }],
  ["5", { kind: "second" }],
  ["PM", { kind: "PM" }],
  ["pm", { kind: "pm" }],
  ...(["-", "Z"] as const).flatMap((sign): [string, LayoutElement][] => [
    [`${sign}070000`, { kind: "zoneSeconds", iso: sign === "Z" }],
    [`${sign}07:00:00`, { kind: "zoneColonSeconds", iso: sign === "Z" }],
    [`${sign}0700`, { kind: "zone", iso: sign === "Z" }],
    [`${sign}07:00`, { kind: "zoneColon", iso: sign === "Z" }],
    [`${sign}07`, { kind: "zoneHour", iso: sign === "Z" }],
  ]),
];

/** Cuts a layout into elements, in the way of Go's `nextStdChunk`. */
export function compileLayout(layout: string): LayoutElement[] {
  const elements: LayoutElement[] = [];
  let literal = "";
  let at = 0;
  const push = (element: LayoutElement, length: number) => {
    if (literal !== "") elements.push({ kind: "literal", text: literal });
    literal = "";
    elements.push(element);
    at += length;
  };
  while (at < layout.length) {
    const rest = layout.slice(at);
    const fraction = /^([.,])(0+|9+)(?!\d)/.exec(rest);
    if (fraction !== null) {
      const exact = fraction[2]![0] === "0";
      push(
        { kind: "fraction", digits: fraction[2]!.length, exact, separator: fraction[1] as "." | "," },
        fraction[0].length,
      );
      continue;
    }
    if (rest.startsWith("_2006")) {
      literal += "_";
      at += 1;
      push({ kind: "longYear" }, 4);
      continue;
    }
    if (rest.startsWith("_2")) {
      push({ kind: "underDay" }, 2);
      continue;
    }
    const known = ELEMENTS.find(([text]) => rest.startsWith(text));
    if (known !== undefined) {
      push(known[1], known[0].length);
      continue;
    }
    // `Jan` and `Mon` count only if no lower-case letter follows, so that "Month" stays a word.
    if (/^(Jan|Mon)(?![a-z])/.test(rest)) {
      push({ kind: rest.startsWith("Jan") ? "month" : "weekday" }, 3);
      continue;
    }
    literal += layout[at]!;
    at += 1;
  }
  if (literal !== "") elements.push({ kind: "literal", text: literal });
  return elements;
}
