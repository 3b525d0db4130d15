import type { Fault } from "./schema.ts";

/**
 * Arguments of which nothing can be made, although each is right by itself. Thrown by what makes something of them, so that
 * a schema's rule (`faultsOf`) need not judge them once more in its own way. The message completes "`field` …".
 */
export class ArgumentError extends Error {
  override readonly name: string = "ArgumentError";
  /** Where the fault is within what was given, as in a Fault; empty for all of it. */
  readonly field: string;
  constructor(message: string, field = "") {
    super(message);
    this.field = field;
  }
}

/** Runs a step on what `field` holds: an ArgumentError of it tells where in `field` the fault is. */
export function within<T>(field: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const inner = error.field === "" || error.field.startsWith("[") ? error.field : `.${error.field}`;
    throw new ArgumentError(error.message, field + inner);
  }
}

/** What is wrong with arguments that these steps make something of: for each step that fails, where it fails. */
export function faultsOf(steps: Iterable<() => unknown>): Fault[] {
  const faults: Fault[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      if (!(error instanceof ArgumentError)) throw error;
      faults.push({ field: error.field, message: error.message });
    }
  }
  return faults;
}

/** A fault for each text that is there before already, such as the name of a second block. */
export function repeated(texts: readonly string[], fault: (i: number, text: string) => Fault): Fault[] {
  const seen = new Set<string>();
  return texts.flatMap((text, i) => {
    if (seen.has(text)) return [fault(i, text)];
    seen.add(text);
    return [];
  });
}
