/**
 * The cookies of one probe, which go on to where a redirect leads, as Go's net/http/cookiejar keeps them. Nothing outlives
 * the probe, so that neither times nor a list of public suffixes count, but that a cookie that has expired is deleted.
 */
export class CookieJar {
  readonly #cookies: Cookie[] = [];

  store(url: URL, lines: readonly string[]): void {
    for (const line of lines) {
      if (this.#cookies.length >= MOST_COOKIES) return;
      const cookie = parseCookie(line, url);
      if (cookie === undefined) continue;
      const known = this.#cookies.findIndex(
        (each) => each.name === cookie.name && each.domain === cookie.domain && each.path === cookie.path,
      );
      if (known >= 0) this.#cookies.splice(known, 1);
      if (!cookie.isDeleted) this.#cookies.push(cookie);
    }
  }

  /** The `Cookie` header for a URL; undefined for none. */
  header(url: URL): string | undefined {
    const fitting = this.#cookies.filter((each) => {
      const isHost = url.hostname === each.domain || (!each.hostOnly && url.hostname.endsWith(`.${each.domain}`));
      return isHost && isBelow(url.pathname, each.path) && (!each.secure || url.protocol === "https:");
    });
    if (fitting.length === 0) return undefined;
    fitting.sort((a, b) => b.path.length - a.path.length);
    return fitting.map(({ name, value }) => `${name}=${value}`).join("; ");
  }
}

const MOST_COOKIES = 100;

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly domain: string;
  readonly hostOnly: boolean;
  readonly path: string;
  readonly secure: boolean;
  readonly isDeleted: boolean;
}

function parseCookie(line: string, url: URL): Cookie | undefined {
  const [pair = "", ...attributes] = line.split(";").map((part) => part.trim());
  const at = pair.indexOf("=");
  if (at <= 0) return undefined;
  const given = new Map(
    attributes.map((each): [string, string] => {
      const [name = "", ...value] = each.split("=");
      return [name.trim().toLowerCase(), value.join("=").trim()];
    }),
  );
  const own = url.hostname;
  const domain = (given.get("domain") ?? "").replace(/^\./, "").toLowerCase();
  if (domain !== "" && domain !== own && !(own.endsWith(`.${domain}`) && domain.includes("."))) return undefined;
  const path = given.get("path") ?? "";
  const age = given.get("max-age");
  const isDeleted = age === undefined ? Date.parse(given.get("expires") ?? "") <= Date.now() : Number(age) <= 0;
  return {
    name: pair.slice(0, at).trim(),
    value: pair.slice(at + 1).trim(),
    domain: domain || own,
    hostOnly: domain === "",
    path: path.startsWith("/") ? path : url.pathname.replace(/\/[^/]*$/, "") || "/",
    secure: given.has("secure"),
    isDeleted,
  };
}

function isBelow(path: string, cookiePath: string): boolean {
  if (!path.startsWith(cookiePath)) return false;
  return path.length === cookiePath.length || cookiePath.endsWith("/") || path[cookiePath.length] === "/";
}
