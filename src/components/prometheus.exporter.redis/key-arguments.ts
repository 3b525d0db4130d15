/** A key or a pattern of keys in a database. */
export interface KeyArgument {
  readonly database: number;
  readonly key: string;
}

/**
 * Reads a list such as `["db3=users:*", "queue"]`. Alloy joins the list with commas and redis_exporter takes it apart at
 * commas again, so that one string may hold several keys, and a comma of a key is written `%2C`.
 * Throws an error that completes "`check_keys` …". Matches redis_exporter's `parseKeyArg`.
 */
export function parseKeys(texts: readonly string[]): KeyArgument[] {
  const found = new Map<string, KeyArgument>();
  for (const text of texts.flatMap((each) => each.split(","))) {
    if (text === "") continue;
    const parts = text.split("=");
    if (parts.length > 2) throw new Error(`has "${text}", with more than one =; write = within a key as %3D`);
    const database = parts.length === 1 ? "0" : parts[0]!.trim().replaceAll("db", "");
    const key = unescapeKey(parts.at(-1)!.trim());
    // As upstream, an empty half is left out and does not stop the rest.
    if (database === "" || key === "") continue;
    if (!/^\d+$/.test(database)) throw new Error(`has "${text}", whose database is no number; write db0=key`);
    found.set(`${database}=${key}`, { database: Number(database), key });
  }
  return [...found.values()];
}

function unescapeKey(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new Error(`has "${text}", where a % begins no code; write % itself as %25`);
  }
}

/** Whether a key is a pattern that has to be searched for. */
export function isPattern(key: string): boolean {
  return /[?*[\]^]/.test(key);
}
