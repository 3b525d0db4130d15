import type { InputForm } from "./input.ts";

/** What a user wants to have piped, as the command line and the API give it. */
export interface PipeRequest {
  readonly component: string;
  /** `{app="web"}`, or empty. */
  readonly labels: string;
  readonly input: InputForm;
  readonly trace: boolean;
}

/** What came of it. */
export interface PipeCounts {
  readonly received: number;
  readonly sent: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** Why the input could not be read to its end, if so; what stands before has been fed. */
  readonly problem?: Error;
}

/** What a running agent takes at a time: the longest body … */
export const MAX_BODY_BYTES = 1024 * 1024;
/** … and the most lines of it. */
export const MAX_LINES = 10_000;
