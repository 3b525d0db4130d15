import type { ContainerMetadata } from "./labels.ts";

/** What a container engine knows of a container beyond its labels. */
export interface RuntimeContainer extends ContainerMetadata {
  /** A process in its network; 0 where it is not known. */
  readonly pid: number;
  /** Whether its network is its own, so that it is not counted several times. */
  readonly ownsNetwork: boolean;
  /** Epoch milliseconds; undefined where only the control group tells. */
  readonly created: number | undefined;
  /** Folders that hold what it wrote: its writable layer, then its logs. None where the engine's storage has no such. */
  readonly folders: readonly string[];
}

/** A container engine. */
export interface Runtime {
  readonly name: string;
  /** Looks which containers run. Never rejects; see `problem`. */
  refresh(signal: AbortSignal): Promise<void>;
  /** What it knows of a container; undefined for one that is not its own. Never rejects. */
  lookUp(id: string, signal: AbortSignal): Promise<RuntimeContainer | undefined>;
  isHealthy(id: string): boolean;
  /** Why containers of this engine are shown without their names now, and what to do; undefined where all is well. */
  readonly problem: string | undefined;
  close(): void | Promise<void>;
}

/** `NAME=value` by name, for names that begin with one of `prefixes`. */
export function allowedEnvironment(
  environment: readonly string[],
  prefixes: readonly string[],
  rename: (name: string) => string = (name) => name,
): ReadonlyMap<string, string> {
  const allowed = new Map<string, string>();
  for (const entry of environment) {
    const equals = entry.indexOf("=");
    if (equals < 0) continue;
    const name = entry.slice(0, equals);
    if (prefixes.some((prefix) => prefix !== "" && name.startsWith(prefix))) {
      allowed.set(rename(name), entry.slice(equals + 1));
    }
  }
  return allowed;
}
