/** URLs in arguments, which may hold secrets that must not be shown, and may hold a password in a way that cannot work. */

const SCHEME_AND_AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#\\]*)(.*)$/is;

/** Parameters that say what a page is about, as exporters have them. The values of others may be keys and tokens. */
const TELLING = new Set(["target", "module", "format", "match[]", "collect[]", "exclude[]", "name[]"]);
const HIDDEN = "xxxxx";

/**
 * The URL for messages: a password is hidden as Go's `URL.Redacted` hides it, and the values of the query's parameters
 * are too, but for those of exporters that say what is scraped.
 */
export function shownUrl(text: string): string {
  const url = withoutPassword(text);
  const mark = url.indexOf("?");
  if (mark < 0) return url;
  const [query = "", fragment] = url.slice(mark + 1).split(/(?=#)/, 2);
  return `${url.slice(0, mark)}?${query.split("&").map(shownParameter).join("&")}${fragment ?? ""}`;
}

function shownParameter(text: string): string {
  const mark = text.indexOf("=");
  if (mark < 0 || mark === text.length - 1) return text;
  const value = text.slice(mark + 1);
  if (!TELLING.has(decoded(text.slice(0, mark)) ?? "")) return `${text.slice(0, mark)}=${HIDDEN}`;
  // What is probed may be a URL itself.
  const inner = decoded(value);
  if (inner === undefined) return `${text.slice(0, mark)}=${HIDDEN}`;
  const shown = withoutPassword(inner).replace(/\?.*/s, `?${HIDDEN}`);
  return shown === inner ? text : `${text.slice(0, mark)}=${encodeURIComponent(shown)}`;
}

function withoutPassword(text: string): string {
  const [, scheme = "", authority = "", rest = ""] = SCHEME_AND_AUTHORITY.exec(text) ?? [];
  // A password with a character that ends the authority goes on behind it, up to the last @.
  const hasUser = authority.includes("@") || (rest.includes("@") && authority.includes(":"));
  if (!hasUser) return text;
  const colon = authority.indexOf(":");
  const at = text.lastIndexOf("@");
  const user = colon < 0 || scheme.length + colon > at ? "" : authority.slice(0, colon);
  return colon < 0 && !rest.includes("@") ? text : `${scheme}${user}:${HIDDEN}${text.slice(at)}`;
}

/** `user:password` and not `host:port`; a password may begin with digits, and then nobody can tell. */
function isUserInfo(authority: string): boolean {
  return /:(?!\d+$)/.test(authority);
}

const ESCAPE =
  "give user and password in `basic_auth` instead, or escape each of them with encoding.url_encode(…) where the URL is put together";

/**
 * What is wrong with a URL of an HTTP server, to complete "`url` …"; undefined if nothing is. `example` shows the form.
 * Never shows the URL.
 */
export function httpUrlProblem(text: string, example = "http://host:port/path"): string | undefined {
  const [, , authority = "", rest = ""] = SCHEME_AND_AUTHORITY.exec(text) ?? [];
  const url = URL.parse(text);
  const isHttp = url !== null && /^https?:$/.test(url.protocol);
  const userIsCutOff = rest.includes("@") && (isUserInfo(authority) || authority.includes("@"));
  if (userIsCutOff || (!isHttp && authority.includes("@"))) {
    return `has a password with a character that ends it (/, ?, # or \\): ${ESCAPE}`;
  }
  if (!isHttp) return `is no HTTP URL: write it as ${example}`;
  if (decoded(url.username) === undefined || decoded(url.password) === undefined)
    return `has a password with a % that begins no escape: ${ESCAPE}`;
  return undefined;
}

/** Undefined where a % begins no escape. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
