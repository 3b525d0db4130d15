/** Alloy's lifecycle health: whether a component was built and runs, not whether data flows (that is `Flow`). */
export type HealthState = "healthy" | "unhealthy" | "unknown" | "exited";

export interface Health {
  readonly state: HealthState;
  readonly message: string;
  /** Epoch milliseconds. */
  readonly updated: number;
}

const WORST_FIRST: readonly HealthState[] = ["unhealthy", "exited", "unknown", "healthy"];

/** The worst of several healths, the latest among equals: a node is as healthy as its worst part. */
export function worstHealth(all: readonly Health[]): Health {
  return all.reduce((worst, each) => {
    const difference = WORST_FIRST.indexOf(each.state) - WORST_FIRST.indexOf(worst.state);
    return difference < 0 || (difference === 0 && each.updated > worst.updated) ? each : worst;
  });
}
