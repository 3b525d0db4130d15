import type { SourceFormat } from "./format.ts";

/** The formats of Alloy's converter, each loaded when it is asked for. */
const FORMATS: ReadonlyMap<string, () => Promise<SourceFormat>> = new Map([
  ["promtail", async () => (await import("./promtail/promtail.ts")).promtail],
  ["prometheus", async () => (await import("./prometheus/prometheus.ts")).prometheus],
  ["otelcol", async () => (await import("./otelcol/otelcol.ts")).otelcol()],
]);

/** Alloy's other format, with what to do until they are there. */
const MISSING: ReadonlyMap<string, string> = new Map(
  ["static"].map((name) => [
    name,
    `${name} configurations are converted by a later release; alloy convert gives a file that Invar runs`,
  ]),
);

export const FORMAT_NAMES: readonly string[] = [...FORMATS.keys()];

/** Rejects with a message for the user if there is no such format. */
export async function sourceFormat(name: string): Promise<SourceFormat> {
  const load = FORMATS.get(name);
  if (load !== undefined) return load();
  const missing = MISSING.get(name);
  throw new Error(missing ?? `unknown source format "${name}": Invar converts ${FORMAT_NAMES.join(", ")}`);
}
