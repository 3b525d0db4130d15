/** As Alloy's converter/diag: `Critical` leaves no output, `Error` needs --bypass-errors, the others never stop. */
export type Severity = "Critical" | "Error" | "Warning" | "Info";

/** One thing that whoever converts has to know: what, where in the source, and what to do. */
export interface Finding {
  readonly severity: Severity;
  readonly message: string;
}

const NO_OUTPUT = "No configuration was written";

/** What came up in a conversion, in the order of the source. */
export class Report {
  readonly findings: Finding[] = [];

  /** `place` is the setting's path with its line, `clients[0].url (line 3)`. */
  add(severity: Severity, place: string, message: string): void {
    const text = place === "" ? message : `${place}: ${message}`;
    if (!this.findings.some((each) => each.message === text)) this.findings.push({ severity, message: text });
  }

  has(severity: Severity): boolean {
    return this.count(severity) > 0;
  }

  count(severity: Severity): number {
    return this.findings.filter((each) => each.severity === severity).length;
  }

  /** Whether there is an output to write. */
  allowsOutput(bypassErrors: boolean): boolean {
    return !this.has("Critical") && (bypassErrors || !this.has("Error"));
  }

  /** The lines that matter, as Alloy's: with what prevents the output, only that. */
  lines(bypassErrors: boolean): readonly string[] {
    const shown = this.has("Critical")
      ? this.findings.filter((each) => each.severity === "Critical")
      : this.allowsOutput(bypassErrors)
        ? this.findings
        : this.findings.filter((each) => each.severity === "Error");
    return shown.map(lineOf);
  }

  /** The text of --report. */
  text(bypassErrors: boolean): string {
    return `${this.lines(bypassErrors).join("\n")}\n\n${this.outcome(bypassErrors)}\n`;
  }

  outcome(bypassErrors: boolean): string {
    if (this.has("Critical")) return `${NO_OUTPUT}: the critical findings above have to be mended first.`;
    if (this.allowsOutput(bypassErrors)) return "A configuration was written.";
    return (
      `${NO_OUTPUT}: there are errors, each a setting that the output would not have. ` +
      "--bypass-errors writes it without them."
    );
  }
}

export function lineOf({ severity, message }: Finding): string {
  return `(${severity}) ${message}`;
}
