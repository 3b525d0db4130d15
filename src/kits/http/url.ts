/** URLs in arguments, which may hold a password that must not be shown, and may hold it in a way that cannot work. */

const SCHEME_AND_AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#\\]*)(.*)$/is;

/** The URL for messages: whatever may be a password in it is hidden, as Go's `URL.Redacted` hides it. */
export function shownUrl(text: string): string {
  const [, scheme = "", authority = "", rest = ""] = SCHEME_AND_AUTHORITY.exec(text) ?? [];
  // A password with a character that ends the authority goes on behind it, up to the last @.
  const hasUser = authority.includes("@") || (rest.includes("@") && authority.includes(":"));
  if (!hasUser) return text;
  const colon = authority.indexOf(":");
  const at = text.lastIndexOf("@");
  const user = colon < 0 || scheme.length + colon > at ? "" : authority.slice(0, colon);
  return colon < 0 && !rest.includes("@") ? text : `${scheme}${user}:xxxxx${text.slice(at)}`;
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
  if (!decodes(url.username) || !decodes(url.password))
    return `has a password with a % that begins no escape: ${ESCAPE}`;
  return undefined;
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
