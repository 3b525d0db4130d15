/**
 * The filter box of the page. Words are separated by spaces and must all hold; `"two words"` is one, `-word` must not
 * hold, `name=value` asks for a label with just this value, anything else for the text anywhere, whatever its case.
 */
export interface Filter {
  /** True if there is nothing to look for. */
  readonly empty: boolean;
  /** `labels` is flat; `text` is what else is searched. */
  matches(labels: readonly string[], text: string): boolean;
}

interface Term {
  readonly negated: boolean;
  readonly label: string | undefined;
  readonly value: string;
}

const TERM = /(-?)(?:([^\s"=]+)=(?:"([^"]*)"?|(\S*))|"([^"]*)"?|(\S+))/g;

export function parseFilter(text: string): Filter {
  const terms: Term[] = [];
  for (const [, minus, label, quotedValue, value, quoted, word] of text.matchAll(TERM)) {
    const negated = minus === "-";
    if (label !== undefined) terms.push({ negated, label, value: quotedValue ?? value ?? "" });
    else terms.push({ negated, label: undefined, value: (quoted ?? word ?? "").toLowerCase() });
  }
  return {
    empty: terms.length === 0,
    matches: (labels, body) => terms.every((term) => holds(term, labels, body) !== term.negated),
  };
}

function holds({ label, value }: Term, labels: readonly string[], text: string): boolean {
  if (label === undefined) {
    if (text.toLowerCase().includes(value)) return true;
    for (let i = 1; i < labels.length; i += 2) if (labels[i]!.toLowerCase().includes(value)) return true;
    return false;
  }
  for (let i = 0; i < labels.length; i += 2) if (labels[i] === label) return labels[i + 1] === value;
  return value === "";
}
