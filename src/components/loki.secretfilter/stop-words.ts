import { WordSearch } from "./word-search.ts";

/** Words that no secret contains, whatever their case. */
export class StopWords {
  readonly #words: readonly string[];
  #search: { readonly long: WordSearch; readonly others: readonly string[] } | undefined;

  constructor(words: readonly string[]) {
    this.#words = [...new Set(words.map((each) => each.toLowerCase()))].filter((each) => each !== "");
  }

  /** Whether the text contains one of them. */
  in(text: string): boolean {
    // Gitleaks' own list has over a thousand words: worked out when the first text gets so far.
    this.#search ??= {
      long: new WordSearch(this.#words.filter(searchable).map((each) => Buffer.from(each))),
      others: this.#words.filter((each) => !searchable(each)),
    };
    const lower = text.toLowerCase();
    return this.#search.long.test(Buffer.from(lower)) || this.#search.others.some((each) => lower.includes(each));
  }
}

function searchable(word: string): boolean {
  return word.length >= 2;
}
