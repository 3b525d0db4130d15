/** Orders nodes so that each comes after those it depends on. */

export interface Ordering {
  /** Dependencies first; the members of cycles are left out. */
  readonly order: readonly string[];
  /** Each cycle as the ids along it, the first repeated at the end. */
  readonly cycles: readonly (readonly string[])[];
}

/** `dependencies` gives the ids that each id depends on; ids that are no keys are ignored. Stable: keeps the given order where it can. */
export function orderNodes(dependencies: ReadonlyMap<string, Iterable<string>>): Ordering {
  const order: string[] = [];
  const cycles: string[][] = [];
  const state = new Map<string, "open" | "done">();
  const path: string[] = [];

  // Iterative, since a chain may be longer than the call stack.
  for (const root of dependencies.keys()) {
    if (state.has(root)) continue;
    const stack: { id: string; rest: Iterator<string> }[] = [];
    const enter = (id: string) => {
      state.set(id, "open");
      path.push(id);
      stack.push({ id, rest: dependencies.get(id)![Symbol.iterator]() });
    };
    enter(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const next = top.rest.next();
      if (next.done) {
        stack.pop();
        path.pop();
        state.set(top.id, "done");
        order.push(top.id);
      } else if (dependencies.has(next.value)) {
        const seen = state.get(next.value);
        if (seen === undefined) enter(next.value);
        else if (seen === "open") cycles.push([...path.slice(path.indexOf(next.value)), next.value]);
      }
    }
  }
  const cyclic = new Set(cycles.flat());
  return { order: order.filter((id) => !cyclic.has(id)), cycles };
}
