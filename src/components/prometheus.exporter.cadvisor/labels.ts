/** What a container engine knows of a container. */
export interface ContainerMetadata {
  readonly name: string;
  readonly image: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly environment: ReadonlyMap<string, string>;
}

/** Which labels of containers become labels of series; all if undefined. */
export type LabelFilter = ReadonlySet<string> | undefined;

/** The labels of a container's series, flat, made once. */
export class ContainerLabels {
  readonly base: readonly string[];
  readonly #extended = new Map<string, readonly string[]>();

  constructor(id: string, metadata: ContainerMetadata | undefined, filter: LabelFilter) {
    const labels = new Map<string, string>([["id", id]]);
    // Labels without a value are none: cAdvisor writes them all the same, and Prometheus drops them.
    const add = (name: string, value: string) => {
      const safe = name.replace(/[^a-zA-Z0-9_]/g, "_");
      if (value !== "" && !labels.has(safe)) labels.set(safe, value);
    };
    if (metadata !== undefined) {
      add("name", metadata.name);
      add("image", metadata.image);
      for (const [name, value] of sorted(metadata.labels)) {
        if (filter === undefined || filter.has(name)) add(`container_label_${name}`, value);
      }
      for (const [name, value] of sorted(metadata.environment)) add(`container_env_${name}`, value);
    }
    this.base = [...labels].flat();
  }

  /** The labels with others behind them; the same array for the same others. */
  with(extra: readonly string[] | undefined): readonly string[] {
    if (extra === undefined) return this.base;
    const key = extra.length === 2 ? `${extra[0]}\0${extra[1]}` : extra.join("\0");
    let labels = this.#extended.get(key);
    if (labels === undefined) {
      // Devices and interfaces come and go.
      if (this.#extended.size >= MAX_EXTENDED) this.#extended.clear();
      this.#extended.set(key, (labels = [...this.base, ...extra]));
    }
    return labels;
  }
}

const MAX_EXTENDED = 1_000;

/** Engines give them in any order, and lines that stay the same cost a scrape less. */
function sorted(pairs: ReadonlyMap<string, string>): [string, string][] {
  return [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
}
