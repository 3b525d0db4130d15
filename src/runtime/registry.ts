import type { ComponentDefinition } from "#pipeline/component";

/** The components that the agent has. The app hands it to the runtime, which loads a module only when a configuration names it. */
export interface ComponentRegistry {
  readonly names: readonly string[];
  /** Names that Alloy has and this agent does not have yet: they get a message of their own. */
  readonly missing: ReadonlySet<string>;
  /** Names that Alloy had once and has no more. */
  readonly removed: ReadonlyMap<string, RemovedComponent>;
  /** Rejects for names that are not in `names`. */
  load(name: string): Promise<ComponentDefinition>;
}

export interface RemovedComponent {
  /** Why it is gone. */
  readonly why: string;
  /** What to use in its place. */
  readonly hint: string;
}
