import { ProtoWriter } from "#formats/protobuf";
import { ArgumentError, faultsOf, within } from "#lang/faults";
import { type Fault, type Infer, s } from "#lang/schema";
import { hashBytes } from "#pipeline/series-hash";
import { compileGlob } from "../ottl/glob.ts";
import { OttlError } from "../ottl/value.ts";
import type { KeyBuffer } from "./key.ts";
import { type AttributeRanges, PAIR, type WantedKeys } from "./scan.ts";

/** Labels of metrics that come from attributes of spans. Matches connector/spanmetricsconnector of the Collector. */

export const dimensionSchema = s.object({
  name: s.string().default("").doc("The attribute, of the span or else of its resource; this or `glob`."),
  default: s.string().optional().doc("Its value for spans without it; such spans have no label otherwise."),
  glob: s.string().default("").doc("A pattern for names of attributes, each of which becomes a label; this or `name`."),
});
export type Dimension = Infer<typeof dimensionSchema>;

/** Where the names of a glob pattern have their borders. */
const SEPARATOR = ".";
/** Verdicts on attribute names that are kept; a power of two. */
const VERDICTS = 1024;
const LONGEST_KEPT = 256;

/** Labels of a new series by the bytes of their names, as latin1: in order, each once. */
export type Labels = Map<string, { readonly name: Buffer; readonly value: Buffer }>;

/** Throws OttlError for a pattern with a syntax error. */
function compileDimensionGlob(pattern: string): (name: string) => boolean {
  return compileGlob(pattern, SEPARATOR);
}

interface Named {
  readonly slot: number;
  readonly name: Buffer;
  /** An AnyValue. */
  readonly fallback: Buffer | undefined;
}

/** One configured list of dimensions: the names first, then what the patterns find, sorted. */
export class DimensionList {
  readonly #named: readonly Named[];
  readonly #globs: readonly ((name: string) => boolean)[];
  readonly #verdicts: ({ readonly name: Buffer; readonly isWanted: boolean } | undefined)[] = [];
  /** Attributes that patterns found, in ranges as in AttributeRanges. */
  #found = new Int32Array(8 * PAIR);
  #foundCount = 0;

  /** `wanted` has all names of the list. */
  constructor(dimensions: readonly Dimension[], wanted: WantedKeys) {
    this.#named = dimensions
      .filter(({ name }) => name !== "")
      .map(({ name, default: fallback }) => ({
        slot: wanted.names.indexOf(name),
        name: Buffer.from(name),
        fallback: fallback === undefined ? undefined : textValue(fallback),
      }));
    this.#globs = dimensions.filter(({ glob }) => glob !== "").map(({ glob }) => compileDimensionGlob(glob));
    if (this.#globs.length > 0) this.#verdicts = new Array(VERDICTS).fill(undefined);
  }

  get isEmpty(): boolean {
    return this.#named.length === 0 && this.#globs.length === 0;
  }

  /**
   * Adds what tells spans apart to a key: of each name the value in the first of the three that has it. `event` is for
   * metrics of events.
   */
  addTo(
    key: KeyBuffer,
    bytes: Buffer,
    span: AttributeRanges,
    event: AttributeRanges | undefined,
    resource: AttributeRanges,
  ): void {
    for (let i = 0; i < this.#named.length; i++) {
      const { slot, fallback } = this.#named[i]!;
      const source = holderOf(slot, span, event, resource);
      if (source !== undefined) {
        key.byte(1);
        key.value(bytes, source.slots[slot * 2]!, source.slots[slot * 2 + 1]!);
      } else if (fallback !== undefined) {
        key.byte(1);
        key.value(fallback, 0, fallback.length);
      } else key.byte(0);
    }
    if (this.#globs.length === 0) return;
    this.#find(bytes, span, event, resource);
    const found = this.#found;
    for (let at = 0; at < this.#foundCount * PAIR; at += PAIR) {
      key.byte(2);
      key.part(bytes, found[at]!, found[at + 1]!);
      key.value(bytes, found[at + 2]!, found[at + 3]!);
    }
    key.byte(3);
  }

  /** The labels that belong to such a key. */
  describe(
    labels: Labels,
    bytes: Buffer,
    span: AttributeRanges,
    event: AttributeRanges | undefined,
    resource: AttributeRanges,
  ): void {
    for (const { slot, name, fallback } of this.#named) {
      const source = holderOf(slot, span, event, resource);
      if (source !== undefined) {
        const value = bytes.subarray(source.slots[slot * 2]!, source.slots[slot * 2 + 1]!);
        labels.set(name.toString("latin1"), { name, value });
      } else if (fallback !== undefined) labels.set(name.toString("latin1"), { name, value: fallback });
    }
    if (this.#globs.length === 0) return;
    this.#find(bytes, span, event, resource);
    const found = this.#found;
    for (let at = 0; at < this.#foundCount * PAIR; at += PAIR) {
      const name = bytes.subarray(found[at]!, found[at + 1]!);
      labels.set(name.toString("latin1"), { name, value: bytes.subarray(found[at + 2]!, found[at + 3]!) });
    }
  }

  /** What patterns find: in the span first, then in event and resource what the ones before do not have. */
  #find(bytes: Buffer, span: AttributeRanges, event: AttributeRanges | undefined, resource: AttributeRanges): void {
    this.#foundCount = 0;
    this.#collect(bytes, span, undefined, undefined);
    this.#sort(bytes, 0);
    const sorted = this.#foundCount;
    if (event !== undefined) this.#collect(bytes, event, span, undefined);
    this.#collect(bytes, resource, span, event);
    this.#sort(bytes, sorted);
  }

  #collect(
    bytes: Buffer,
    from: AttributeRanges,
    before: AttributeRanges | undefined,
    other: AttributeRanges | undefined,
  ): void {
    const { all, count } = from;
    for (let at = 0; at < count * PAIR; at += PAIR) {
      const start = all[at]!;
      const stop = all[at + 1]!;
      if (!this.#wants(bytes, start, stop)) continue;
      // Of several attributes with one name the first counts.
      if (has(bytes, all, at, start, stop)) continue;
      if (before !== undefined && has(bytes, before.all, before.count * PAIR, start, stop)) continue;
      if (other !== undefined && has(bytes, other.all, other.count * PAIR, start, stop)) continue;
      const next = this.#foundCount * PAIR;
      if (next === this.#found.length) {
        const larger = new Int32Array(next * 2);
        larger.set(this.#found);
        this.#found = larger;
      }
      for (let k = 0; k < PAIR; k++) this.#found[next + k] = all[at + k]!;
      this.#foundCount += 1;
    }
  }

  /** Sorts what was found from the n-th on by the bytes of the names; there are few. */
  #sort(bytes: Buffer, first: number): void {
    const found = this.#found;
    for (let i = first + 1; i < this.#foundCount; i++) {
      for (let k = i * PAIR; k > first * PAIR; k -= PAIR) {
        const before = k - PAIR;
        if (bytes.compare(bytes, found[k]!, found[k + 1]!, found[before]!, found[before + 1]!) <= 0) break;
        for (let n = 0; n < PAIR; n++) {
          const moved = found[k + n]!;
          found[k + n] = found[before + n]!;
          found[before + n] = moved;
        }
      }
    }
  }

  /** Whether a pattern wants this name. Names recur with every span, so that verdicts are kept. */
  #wants(bytes: Buffer, from: number, to: number): boolean {
    const place = hashBytes(bytes, from, to) & (VERDICTS - 1);
    const known = this.#verdicts[place];
    if (known !== undefined && known.name.compare(bytes, from, to) === 0) return known.isWanted;
    const name = bytes.toString("utf8", from, to);
    const isWanted = this.#globs.some((matches) => matches(name));
    if (to - from <= LONGEST_KEPT) this.#verdicts[place] = { name: Buffer.from(bytes.subarray(from, to)), isWanted };
    return isWanted;
  }
}

function holderOf(
  slot: number,
  span: AttributeRanges,
  event: AttributeRanges | undefined,
  resource: AttributeRanges,
): AttributeRanges | undefined {
  if (span.slots[slot * 2]! >= 0) return span;
  if (event !== undefined && event.slots[slot * 2]! >= 0) return event;
  return resource.slots[slot * 2]! >= 0 ? resource : undefined;
}

/** Whether one of the pairs before `end` has the key `bytes[from, to)`. */
function has(bytes: Buffer, pairs: Int32Array, end: number, from: number, to: number): boolean {
  for (let at = 0; at < end; at += PAIR) {
    const start = pairs[at]!;
    const stop = pairs[at + 1]!;
    if (stop - start === to - from && bytes.compare(bytes, from, to, start, stop) === 0) return true;
  }
  return false;
}

const writer = new ProtoWriter();

/** A text, or the bytes of one, as an AnyValue. */
export function textValue(text: string | Uint8Array): Buffer {
  writer.reset();
  if (typeof text === "string") writer.string(1, text);
  else writer.bytes(1, text);
  return Buffer.from(writer.view());
}

/** Labels that are there by themselves. */
const OWN_NAMES = ["service.name", "span.kind", "status.code", "span.name", "collector.instance.id"];

/** What is wrong with the dimensions in a field. Matches validateDimensions of the connector. */
export function dimensionFaults(field: string, dimensions: readonly Dimension[]): Fault[] {
  const names = new Set(OWN_NAMES);
  const each = (judge: (dimension: Dimension) => void) =>
    faultsOf(dimensions.map((dimension, i) => () => within(`${field}[${i}]`, () => judge(dimension))));
  const faults = each((dimension) => judgeDimension(dimension, names));
  if (faults.length > 0) return faults;
  return each(({ glob }) => {
    const taken = glob === "" ? undefined : [...names].find(compileDimensionGlob(glob));
    if (taken !== undefined) throw new ArgumentError(`also finds ${taken}, which is a label already`, "glob");
  });
}
/** `names` are those of labels before, of which the dimension's becomes one. Throws ArgumentError. */
function judgeDimension({ name, glob, default: fallback }: Dimension, names: Set<string>): void {
  if (name !== "" && glob !== "") {
    throw new ArgumentError(`must set only one of \`name\` and \`glob\`, and has ${name} and ${glob}`);
  }
  if (name === "" && glob === "") throw new ArgumentError("must set one of `name` and `glob`");
  if (glob === "") {
    if (OWN_NAMES.includes(name)) {
      throw new ArgumentError(`is ${name}, which is a label by itself; leave it out`, "name");
    }
    if (names.has(name)) throw new ArgumentError(`names ${name} twice`, "name");
    names.add(name);
    return;
  }
  if (fallback !== undefined) throw new ArgumentError("cannot be set together with `glob`", "default");
  try {
    compileDimensionGlob(glob);
  } catch (error) {
    if (!(error instanceof OttlError)) throw error;
    throw new ArgumentError(`cannot be used: ${error.message}`, "glob");
  }
}
