/** The values of some series without labels on a page in Prometheus's text format, by name. What is not there is left out. */
export function plainSamples(page: string, names: readonly string[]): ReadonlyMap<string, number> {
  const wanted = new Set(names);
  const found = new Map<string, number>();
  for (const line of page.split("\n")) {
    const end = line.indexOf(" ");
    if (end > 0 && wanted.has(line.slice(0, end))) found.set(line.slice(0, end), Number(line.slice(end + 1)));
  }
  return found;
}
