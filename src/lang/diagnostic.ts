import type { Span } from "./ast.ts";

export type Severity = "error" | "warning";

/**
 * One thing wrong with a configuration, with everything that a person needs to mend it.
 * `render.ts` draws it; docs/errors.md lists the codes.
 */
export interface Diagnostic {
  readonly severity: Severity;
  /** Stable and dotted, such as `config.unknown_argument`: for scripts and for docs/errors.md. */
  readonly code: string;
  /** What is wrong, in one line. */
  readonly message: string;
  /** Where; missing only for errors about no text at all. */
  readonly span?: Span;
  /** Why it is wrong. */
  readonly why?: string;
  /** What to do. */
  readonly hint?: string;
  /** Further places that matter, such as the first of two duplicates or the members of a cycle. */
  readonly related?: readonly { readonly message: string; readonly span: Span }[];
}

/** Thrown when a whole operation (parse, evaluate, load) fails: carries every diagnostic, not just the first. */
export class DiagnosticError extends Error {
  override readonly name = "DiagnosticError";
  readonly diagnostics: readonly Diagnostic[];
  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((each) => each.message).join("; "));
    this.diagnostics = diagnostics;
  }
}
