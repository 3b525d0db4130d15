import { Labels } from "#base/labels";
import type { WriteVersion } from "#formats/remote-write/2-parts";
import { SeriesSymbols } from "#formats/remote-write/2-series";
import type { MetricMetadata } from "#pipeline/batch";
import type { SeriesRegistry } from "#pipeline/series";
import { metadataArguments, queueArguments } from "./arguments.ts";
import type { Endpoint } from "./endpoint.ts";
import { FragmentEncoder, type FragmentSettings } from "./fragments.ts";
import type { MetadataStore } from "./metadata.ts";

/** Endpoints whose fragments are the same. */
export interface FragmentGroup {
  readonly key: string;
  readonly version: WriteVersion;
  readonly encoder: FragmentEncoder;
  readonly endpoints: readonly Endpoint[];
}

/** Which endpoints can share fragments, so that the same work is done once. */
export class FragmentGroups {
  readonly #series: SeriesRegistry;
  readonly #metadata: MetadataStore;
  readonly #now: () => number;
  #externalLabels = Labels.empty;
  #endpoints: readonly Endpoint[] = [];
  #groups: readonly FragmentGroup[] = [];
  /** What each series is in version 2, while an endpoint takes that. */
  #symbols: SeriesSymbols | undefined;

  /** `now` is in epoch milliseconds. */
  constructor(series: SeriesRegistry, metadata: MetadataStore, now: () => number) {
    this.#series = series;
    this.#metadata = metadata;
    this.#now = now;
  }

  get all(): readonly FragmentGroup[] {
    return this.#groups;
  }

  configure(externalLabels: ReadonlyMap<string, string>, endpoints: readonly Endpoint[]): void {
    // A label with an empty value is none, and may not be sent.
    this.#externalLabels = Labels.from(externalLabels).filter((_, value) => value !== "");
    this.#endpoints = endpoints;
    this.#regroup();
  }

  /** Takes in the versions that endpoints are sent now. */
  adapt(): void {
    const isStale = this.#groups.some(({ version, endpoints }) => endpoints.some((each) => each.version !== version));
    if (isStale) this.#regroup();
  }

  /** Takes in metadata that is new or has changed. */
  describe(metadata: MetricMetadata): void {
    this.#symbols?.describe(metadata);
  }

  /** Forgets the series that were not seen since the last call. */
  sweep(): void {
    for (const { encoder } of this.#groups) encoder.sweep();
  }

  close(): void {
    for (const { encoder } of this.#groups) encoder.close();
    this.#symbols?.[Symbol.dispose]();
  }

  #regroup(): void {
    const members = new Map<string, { settings: FragmentSettings; endpoints: Endpoint[] }>();
    for (const endpoint of this.#endpoints) {
      const settings = this.#settingsOf(endpoint);
      const key = groupKey(settings, endpoint);
      const group = members.get(key) ?? { settings, endpoints: [] };
      group.endpoints.push(endpoint);
      members.set(key, group);
    }
    this.#prepareSymbols([...members.values()].some(({ settings }) => settings.version === 2));
    const old = this.#groups;
    this.#groups = [...members].map(([key, { settings, endpoints }]) => {
      const { version } = settings;
      const symbols = version === 2 ? this.#symbols : undefined;
      const known = old.find((each) => each.key === key)?.encoder;
      const encoder = known ?? new FragmentEncoder(this.#series, settings, this.#now, symbols);
      return { key, version, encoder, endpoints };
    });
    for (const { key, encoder } of old) if (!members.has(key)) encoder.close();
  }

  #settingsOf({ args, version }: Endpoint): FragmentSettings {
    const queue = queueArguments(args);
    return {
      version,
      externalLabels: this.#externalLabels,
      rules: args.write_relabel_config,
      sendExemplars: args.send_exemplars,
      sendHistograms: args.send_native_histograms,
      sendMetadata: version === 2 && metadataArguments(args).send,
      maxSamples: queue.max_samples_per_send,
      sampleAgeLimit: queue.sample_age_limit,
    };
  }

  #prepareSymbols(isNeeded: boolean): void {
    if (isNeeded && this.#symbols === undefined) {
      this.#symbols = new SeriesSymbols(this.#series);
      for (const each of this.#metadata.all) this.#symbols.describe(each);
    } else if (!isNeeded) {
      this.#symbols?.[Symbol.dispose]();
      this.#symbols = undefined;
    }
  }
}

/** Equal for endpoints that can share fragments: the same content, the same choice of numbers of lanes. */
function groupKey(settings: FragmentSettings, { args }: Endpoint): string {
  const { min_shards, max_shards } = queueArguments(args);
  const rules = settings.rules.map((rule) => ({ ...rule, regex: rule.regex.source }));
  const externalLabels = settings.externalLabels.toString();
  return JSON.stringify({ ...settings, externalLabels, rules, min_shards, max_shards });
}
