import { Labels } from "#base/labels";

/** How what a source of targets knows becomes labels: the rules that all of Prometheus's discoveries share. */

/** Prometheus's `strutil.SanitizeLabelName` (util/strutil/strconv.go): each character that a label may not have is `_`. */
export function sanitizeLabelName(name: string): string {
  return name.replace(/[^a-zA-Z0-9_]/gu, "_");
}

/** Go's `net.JoinHostPort`. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Collects the labels of one target: its address, and meta labels that begin with the discovery's prefix. What is empty
 * stays as an empty label, as in Alloy, so that expressions can ask for it.
 */
export class TargetLabels {
  readonly #prefix: string;
  readonly #pairs = new Map<string, string>();

  /** `prefix` is that of the meta labels, such as `__meta_consul_`. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  set(name: string, value: string): this {
    this.#pairs.set(name, value);
    return this;
  }

  address(address: string): this {
    return this.set("__address__", address);
  }

  meta(name: string, value: string): this {
    return this.set(this.#prefix + name, value);
  }

  /** A label for each entry of a map whose keys anybody may have chosen; `name` is what all of them begin with. */
  metaEach(name: string, entries: Iterable<readonly [key: string, value: string]>): this {
    for (const [key, value] of entries) this.meta(name + sanitizeLabelName(key), value);
    return this;
  }

  build(): Labels {
    return Labels.from(this.#pairs);
  }
}

/** Targets with labels in common: prometheus/discovery/targetgroup. */
export interface TargetGroup {
  readonly targets: readonly Labels[];
  readonly labels: Labels;
}

/** The targets of groups with the labels that they share; a target's own win. */
export function targetsOf(groups: readonly TargetGroup[]): readonly Labels[] {
  return groups.flatMap(({ targets, labels }) => targets.map((target) => labels.merge(target)));
}
