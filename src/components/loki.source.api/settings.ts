import { Labels } from "#base/labels";
import { TENANT_LABEL } from "#kits/loki-push-labels";
import { RelabelRules } from "#kits/relabel";
import type { RelabelRule } from "#kits/relabel-schema";
import type { LogBatch } from "#pipeline/batch";

const MAX_KNOWN = 10_000;

/** Why an entry is not forwarded. */
export type DropReason = "relabel_rule" | "no_labels";

export interface SettingsArguments {
  readonly labels: ReadonlyMap<string, string>;
  readonly relabel_rules?: readonly RelabelRule[] | undefined;
  readonly use_incoming_timestamp: boolean;
  readonly max_send_message_size: number;
}

/** What the arguments say about entries. */
export class Settings {
  readonly labels: Labels;
  readonly maxBytes: number;
  readonly #rules: RelabelRules;
  readonly #useIncomingTime: boolean;
  readonly #known = new Map<Labels, Map<string, Labels | DropReason>>();

  constructor(args: SettingsArguments) {
    this.labels = Labels.from(args.labels);
    this.maxBytes = args.max_send_message_size > 0 ? args.max_send_message_size : 100 * 1024 * 1024;
    this.#rules = new RelabelRules(args.relabel_rules ?? []);
    this.#useIncomingTime = args.use_incoming_timestamp;
  }

  /** Sets labels and times in place; gives the number of entries that were dropped, by reason. */
  prepare(batch: LogBatch, tenant: string, now: number): ReadonlyMap<DropReason, number> {
    const streams = batch.streams.map((labels) => this.#stream(labels, tenant));
    batch.streams = streams.map((labels) => (typeof labels === "string" ? Labels.empty : labels));
    const dropped = new Map<DropReason, number>();
    const before = batch.count;
    let kept = 0;
    const ms = Math.floor(now);
    for (let i = 0; i < before; i++) {
      const stream = streams[batch.stream[i]!]!;
      if (typeof stream === "string") {
        dropped.set(stream, (dropped.get(stream) ?? 0) + 1);
        continue;
      }
      batch.start[kept] = batch.start[i]!;
      batch.end[kept] = batch.end[i]!;
      batch.stream[kept] = batch.stream[i]!;
      if (batch.metadata !== undefined) batch.metadata[kept] = batch.metadata[i];
      // Times of arrival differ, so that Loki keeps the order.
      batch.ms[kept] = this.#useIncomingTime ? batch.ms[i]! : ms + Math.floor(kept / 1_000_000);
      batch.ns[kept] = this.#useIncomingTime ? batch.ns[i]! : kept % 1_000_000;
      kept += 1;
    }
    batch.count = kept;
    return dropped;
  }

  #stream(labels: Labels, tenant: string): Labels | DropReason {
    let byTenant = this.#known.get(labels);
    if (byTenant === undefined) {
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      this.#known.set(labels, (byTenant = new Map()));
    }
    const known = byTenant.get(tenant);
    if (known !== undefined) return known;
    const result = this.#relabel(labels, tenant);
    if (byTenant.size < 1_000) byTenant.set(tenant, result);
    return result;
  }

  #relabel(labels: Labels, tenant: string): Labels | DropReason {
    const merged = labels.merge(this.labels);
    const relabelled = this.#rules.size === 0 ? merged : this.#rules.apply(merged);
    if (relabelled === undefined) return "relabel_rule";
    if (relabelled.size === 0) return "no_labels";
    const shown = relabelled.filter((name) => !name.startsWith("__"));
    return tenant === "" ? shown : shown.with(TENANT_LABEL, tenant);
  }
}
