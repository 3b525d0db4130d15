import { isIP } from "node:net";
import type { Labels } from "#base/labels";
import { GROUP, RESOURCE } from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey, type KeyValues } from "#formats/otlp/values";
import { resourceGroups } from "#formats/otlp/walk";

export const ASSOCIATIONS = ["ip", "net.host.ip", "k8s.pod.ip", "hostname", "connection"] as const;
export type Association = (typeof ASSOCIATIONS)[number];
export const OPERATIONS = ["insert", "update", "upsert"] as const;
export type Operation = (typeof OPERATIONS)[number];

const ADDRESS = "__address__";
const INTERNAL = "__";
const HOST_AND_PORT = /^(?:\[([^[\]]*)\]|([^:[\]]*)):[^:[\]]*$/;
const HOST_NAME = new AttributeKey("host.name");

export interface PodLabelsOptions {
  readonly targets: readonly Labels[];
  readonly associations: readonly Association[];
  readonly operation: Operation;
}

interface LabelToSet {
  readonly key: AttributeKey;
  readonly value: string;
}

/** Sets labels of targets on the resources of spans. Matches promsdprocessor/consumer of Alloy. */
export class PodLabels {
  readonly #operation: Operation;
  /** Without `connection`, where that stands in the order. */
  readonly #lookUps: readonly ((attributes: KeyValues, clientAddress: string | undefined) => string)[];
  readonly #labels = new Map<string, readonly LabelToSet[]>();
  /** Targets whose address says no host. */
  readonly unusable: readonly Labels[];
  /** Resources that met a target. */
  matched = 0;
  /** Resources without an address to look for, … */
  nameless = 0;
  /** … and the address of one that met no target. */
  unknown: string | undefined;

  constructor({ targets, associations, operation }: PodLabelsOptions) {
    this.#operation = operation;
    this.#lookUps = associations.map(lookUp);
    const unusable: Labels[] = [];
    for (const target of targets) {
      const host = hostOf(target);
      if (host === undefined) unusable.push(target);
      else this.#labels.set(host, labelsToSet(target));
    }
    this.unusable = unusable;
  }

  /** The number of different hosts that targets have. */
  get size(): number {
    return this.#labels.size;
  }

  edit(request: OtlpRecord, clientAddress: string | undefined): void {
    const resources = resourceGroups(request);
    for (let r = 0; r < resources.length; r++) {
      const attributes = resources.at(r).record(GROUP.resource).map(RESOURCE.attributes);
      const address = this.#addressOf(attributes, clientAddress);
      const labels = this.#labels.get(address);
      if (labels === undefined) {
        if (address === "") this.nameless += 1;
        else this.unknown ??= address;
        continue;
      }
      this.matched += 1;
      for (const label of labels) this.#set(attributes, label);
    }
  }

  #addressOf(attributes: KeyValues, clientAddress: string | undefined): string {
    for (const look of this.#lookUps) {
      const address = look(attributes, clientAddress);
      if (address !== "") return address;
    }
    return "";
  }
  #set(attributes: KeyValues, { key, value }: LabelToSet): void {
    const i = attributes.find(key);
    if (i < 0 ? this.#operation === "update" : this.#operation === "insert") return;
    if (i < 0) attributes.append(key, value);
    else attributes.setAt(i, value);
  }
}

function lookUp(association: Association): (attributes: KeyValues, clientAddress: string | undefined) => string {
  switch (association) {
    case "connection":
      return (_, clientAddress) => clientAddress ?? "";
    case "hostname":
      // A host name counts if it is an address.
      return (attributes) => {
        const name = textOf(attributes, HOST_NAME);
        return isIP(name) === 0 ? "" : name;
      };
    default: {
      const key = new AttributeKey(association);
      return (attributes) => textOf(attributes, key);
    }
  }
}
function textOf(attributes: KeyValues, key: AttributeKey): string {
  const value = attributes.get(key);
  return typeof value === "string" ? value : "";
}

/** The host of a target's address; undefined for one that has none, as Go's `net.SplitHostPort` sees it. */
function hostOf(target: Labels): string | undefined {
  const address = target.get(ADDRESS);
  if (address === undefined || !address.includes(":")) return address;
  const parts = HOST_AND_PORT.exec(address);
  return parts === null ? undefined : (parts[1] ?? parts[2]);
}

function labelsToSet(target: Labels): LabelToSet[] {
  const labels: LabelToSet[] = [];
  for (const [name, value] of target)
    if (!name.startsWith(INTERNAL)) labels.push({ key: new AttributeKey(name), value });
  return labels;
}
