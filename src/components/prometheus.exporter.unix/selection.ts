import type { CollectorDefinition } from "./collector.ts";

/** Collectors of node_exporter for other systems, which Alloy on Linux ignores without a word. */
const FOREIGN: ReadonlySet<string> = new Set(["boottime", "devstat", "exec", "netisr", "thermal"]);

export interface Selection {
  readonly enabled: readonly CollectorDefinition[];
  /** Names that were asked for and are not among node_exporter's. */
  readonly unknown: readonly string[];
}

export interface SelectionArguments {
  readonly enable_collectors: readonly string[];
  readonly disable_collectors: readonly string[];
  readonly set_collectors: readonly string[];
}

/**
 * Which collectors run: those of `set_collectors`, or else the default ones; without those of `disable_collectors`;
 * with those of `enable_collectors`, which wins over `disable_collectors`.
 * Matches `mapConfigToNodeConfig` of Alloy's `internal/static/integrations/node_exporter/config.go`.
 */
export function selectCollectors(args: SelectionArguments, available: readonly CollectorDefinition[]): Selection {
  const byName = new Map(available.map((definition) => [definition.name, definition]));
  const asked = args.set_collectors.length > 0 ? args.set_collectors : defaults(available);
  const names = new Set(asked);
  for (const name of args.disable_collectors) names.delete(name);
  for (const name of args.enable_collectors) names.add(name);

  const enabled: CollectorDefinition[] = [];
  const unknown: string[] = [];
  for (const name of [...names].sort()) {
    const definition = byName.get(name);
    if (definition !== undefined) enabled.push(definition);
    else if (!FOREIGN.has(name)) unknown.push(name);
  }
  return { enabled, unknown };
}

function defaults(available: readonly CollectorDefinition[]): string[] {
  return available.filter(({ enabledByDefault }) => enabledByDefault).map(({ name }) => name);
}
