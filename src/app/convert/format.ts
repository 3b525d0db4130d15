import type { Report } from "./report.ts";

/** What a converted source becomes. */
export interface Conversion {
  /** The configuration in the standard layout; undefined when nothing could be made of the source. */
  readonly text: string | undefined;
  /** The components in it, so that positions can be put where they look for them. */
  readonly readers: readonly Reader[];
}

/** A component that keeps positions. */
export interface Reader {
  readonly id: string;
  readonly kind: "file" | "journal" | "docker";
  /** The name of a journal's job, by which its cursor is found. */
  readonly job: string;
}

/** A program whose configuration can be converted. */
export interface SourceFormat {
  /** `extraArguments` are those of the program's command line. */
  convert(text: string, extraArguments: readonly string[], report: Report): Conversion;
}

export const NOTHING: Conversion = { text: undefined, readers: [] };
