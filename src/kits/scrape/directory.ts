import type { Labels } from "#base/labels";
import type { Judgement } from "#pipeline/flow";
import type { SeriesRegistry } from "#pipeline/series";

/** Something that a component of the agent scrapes. */
export interface ScrapedTarget {
  readonly componentId: string;
  /** The URL: equal for what is fetched in the same way, credentials aside. */
  readonly href: string;
  /** The same for messages, without a password. */
  readonly shownUrl: string;
  /** What all of its series carry. */
  readonly labels: Labels;
}

const EXAMPLES = 3;
const directories = new WeakMap<SeriesRegistry, ScrapeDirectory>();

/** All that an agent scrapes: tells what is scraped twice, and who scrapes the target that a series came from. */
export class ScrapeDirectory {
  /** By URL: one target as it is, several in an array. */
  readonly #byUrl = new Map<string, ScrapedTarget | readonly ScrapedTarget[]>();
  /** URLs with more than one entry. */
  readonly #repeated = new Set<string>();

  /** The directory of an agent: there is one for each registry of series. */
  static of(registry: SeriesRegistry): ScrapeDirectory {
    let known = directories.get(registry);
    if (known === undefined) directories.set(registry, (known = new ScrapeDirectory()));
    return known;
  }

  add(target: ScrapedTarget): void {
    this.#set(target.href, [...this.#at(target.href), target]);
  }

  /** Takes out what `add` was given. */
  remove(target: ScrapedTarget): void {
    const rest = this.#at(target.href).filter((each) => each !== target);
    this.#set(target.href, rest);
  }

  /** Targets whose series have these values of `job` and `instance`. Looks at all there are. */
  find(job: string, instance: string): readonly ScrapedTarget[] {
    const found: ScrapedTarget[] = [];
    for (const url of this.#byUrl.keys()) {
      for (const each of this.#at(url)) {
        if (each.labels.get("job") === job && each.labels.get("instance") === instance) found.push(each);
      }
    }
    return found;
  }

  /** The flow rule of a component: what it scrapes is scraped once more, by itself or by another. */
  judge(componentId: string): Judgement {
    const own: (readonly ScrapedTarget[])[] = [];
    for (const url of this.#repeated) {
      const targets = this.#at(url);
      if (targets.some((each) => each.componentId === componentId)) own.push(targets);
    }
    if (own.length === 0) return undefined;
    const named = own.slice(0, EXAMPLES).map(describe);
    const more = own.length > EXAMPLES ? `; and ${own.length - EXAMPLES} more targets` : "";
    const remedy =
      "its samples are sent twice, unless the two go to different places: drop one of them, such as with a keep rule in a " +
      "discovery.relabel";
    return { state: "degraded", cause: `${named.join("; ")}${more}: ${remedy}` };
  }

  #at(url: string): readonly ScrapedTarget[] {
    const targets = this.#byUrl.get(url);
    if (targets === undefined) return [];
    return "href" in targets ? [targets] : targets;
  }

  #set(url: string, targets: readonly ScrapedTarget[]): void {
    if (targets.length === 0) this.#byUrl.delete(url);
    else this.#byUrl.set(url, targets.length === 1 ? targets[0]! : targets);
    if (targets.length > 1) this.#repeated.add(url);
    else this.#repeated.delete(url);
  }
}

function describe(targets: readonly ScrapedTarget[]): string {
  const { shownUrl } = targets[0]!;
  const components = [...new Set(targets.map(({ componentId }) => componentId))];
  const [first, second] = [targets[0]!.labels, targets[1]!.labels];
  if (first.equals(second)) {
    return `${shownUrl} is scraped by ${components.join(" and ")} with the same labels`;
  }
  const differing = (one: Labels, other: Labels) => one.filter((name, value) => other.get(name) !== value).toString();
  const labels = `as ${differing(first, second)} and as ${differing(second, first)}`;
  return components.length === 1
    ? `${shownUrl} is scraped ${targets.length} times by ${components[0]}, ${labels}`
    : `${shownUrl} is scraped by ${components.join(" and ")}, ${labels}`;
}
