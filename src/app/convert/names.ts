import { isIdentifier } from "#lang/token";

/** A name of the source as a label: what a label may not have becomes `_`, as Alloy's `scanner.SanitizeIdentifier`. */
export function labelFor(name: string): string {
  if (isIdentifier(name)) return name;
  const label = name.replace(/[^\p{L}\p{Nd}_]/gu, "_");
  return /^\p{Nd}/u.test(label) ? `_${label}` : label;
}

/** Gives labels that are unique within each kind of component. Alloy refuses a source whose labels collide. */
export class Names {
  readonly #taken = new Map<string, Set<string>>();

  /** `wanted`, or with `_2`, `_3` … behind it. */
  take(component: string, wanted: string): string {
    let taken = this.#taken.get(component);
    if (taken === undefined) this.#taken.set(component, (taken = new Set()));
    let label = wanted;
    for (let number = 2; taken.has(label); number++) label = `${wanted}_${number}`;
    taken.add(label);
    return label;
  }
}
