import type { Regex } from "#base/regex";

/** Which names of devices a collector leaves out. An empty expression stands for none. */
export class NameFilter {
  readonly #exclude: Regex | undefined;
  readonly #include: Regex | undefined;
  readonly #known = new Map<string, boolean>();

  constructor(exclude?: Regex, include?: Regex) {
    this.#exclude = exclude === undefined || exclude.source === "" ? undefined : exclude;
    this.#include = include === undefined || include.source === "" ? undefined : include;
  }

  ignores(name: string): boolean {
    let ignored = this.#known.get(name);
    if (ignored === undefined) {
      ignored = (this.#exclude?.test(name) ?? false) || !(this.#include?.test(name) ?? true);
      // Interfaces of short-lived containers have ever new names.
      if (this.#known.size >= 10_000) this.#known.clear();
      this.#known.set(name, ignored);
    }
    return ignored;
  }
}
