import { promises } from "node:dns";

/** A name server that does not answer holds back the first message of a sender for no longer than twice this. */
const TIMEOUT_MS = 1_000;

/** Names of addresses, as Go's `net.LookupAddr` gives them, joined by commas; remembers the ones used last. */
export class Hostnames {
  readonly #limit: number;
  readonly #resolver = new promises.Resolver({ timeout: TIMEOUT_MS, tries: 2 });
  readonly #known = new Map<string, string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What is known of the address. */
  known(ip: string): string | undefined {
    return this.#known.get(ip);
  }

  /** Never rejects: an address without a name has an empty one. */
  async lookUp(ip: string): Promise<string> {
    let name = this.#known.get(ip);
    if (name === undefined) {
      const names = await this.#resolver.reverse(ip).catch(() => []);
      name = names.map(absolute).join(",");
    }
    this.#known.delete(ip);
    if (this.#known.size >= this.#limit) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(ip, name);
    return name;
  }

  close(): void {
    this.#resolver.cancel();
  }
}

function absolute(name: string): string {
  return name.includes(".") && !name.endsWith(".") ? `${name}.` : name;
}
