/** Headers of requests that say what everybody may know; a tenant is what a refusal is about. */
const HARMLESS = new Set(["content-type", "content-encoding", "content-length", "user-agent", "x-scope-orgid"]);
/** Shorter values would be found in words that have nothing to do with them. */
const SHORTEST_SECRET = 6;

/**
 * What a backend says about a request, for messages: servers and proxies that say what they refuse must not have
 * credentials logged. Headers' names are in lower case.
 */
export function shownAnswer(text: string, sent: ReadonlyMap<string, string>): string {
  let shown = text;
  for (const [name, value] of sent) {
    if (HARMLESS.has(name)) continue;
    // "Bearer TOKEN" and "Basic TOKEN" are known by the token.
    for (const secret of [value, value.slice(value.indexOf(" ") + 1)]) {
      if (secret.length >= SHORTEST_SECRET) shown = shown.replaceAll(secret, "(secret)");
    }
  }
  return shown;
}
