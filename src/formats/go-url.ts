/** URLs as Go's package net/url reads them: lenient about hosts, strict about escapes, relative ones allowed. */

export class GoUrlError extends Error {
  override readonly name = "GoUrlError";
}

export interface GoUrl {
  readonly scheme: string;
  /** Behind the scheme without slashes, as in `mailto:a@b`. */
  readonly opaque: string;
  readonly user: { readonly name: string; readonly password: string | undefined } | undefined;
  /** With port, unescaped. */
  readonly host: string;
  /** Unescaped, … */
  readonly path: string;
  /** … and as it was written. */
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly hasQuery: boolean;
  readonly fragment: string;
  readonly rawFragment: string;
}

/** Throws GoUrlError. */
export function parseGoUrl(text: string): GoUrl {
  const hash = text.indexOf("#");
  const rawFragment = hash < 0 ? "" : text.slice(hash + 1);
  let rest = hash < 0 ? text : text.slice(0, hash);
  if (/[\0-\x1f\x7f]/.test(rest)) throw new GoUrlError("invalid control character in URL");
  const scheme = schemeOf(rest);
  if (scheme !== "") rest = rest.slice(scheme.length + 1);
  const question = rest.indexOf("?");
  const rawQuery = question < 0 ? "" : rest.slice(question + 1);
  if (question >= 0) rest = rest.slice(0, question);
  const query = { rawQuery, hasQuery: question >= 0 };
  const fragment = { fragment: percentDecode(rawFragment), rawFragment };
  const lower = scheme.toLowerCase();
  if (!rest.startsWith("/")) {
    if (scheme !== "") {
      return { scheme: lower, opaque: rest, user: undefined, host: "", path: "", rawPath: "", ...query, ...fragment };
    }
    if (rest.split("/")[0]!.includes(":")) throw new GoUrlError("first path segment in URL cannot contain colon");
  }
  let user: GoUrl["user"];
  let host = "";
  if (rest.startsWith("//") && (scheme !== "" || !rest.startsWith("///"))) {
    const slash = rest.indexOf("/", 2);
    const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash);
    rest = slash < 0 ? "" : rest.slice(slash);
    ({ user, host } = authorityOf(authority));
  }
  return { scheme: lower, opaque: "", user, host, path: percentDecode(rest), rawPath: rest, ...query, ...fragment };
}

function schemeOf(text: string): string {
  const found = /^([A-Za-z][0-9A-Za-z+.-]*):/.exec(text);
  if (found !== null) return found[1]!;
  if (text.startsWith(":")) throw new GoUrlError("missing protocol scheme");
  return "";
}

function authorityOf(authority: string): Pick<GoUrl, "user" | "host"> {
  const at = authority.lastIndexOf("@");
  const host = hostOf(authority.slice(at + 1));
  if (at < 0) return { user: undefined, host };
  const info = authority.slice(0, at);
  if (!/^[0-9A-Za-z\-._:~!$&'()*+,;=%@]*$/.test(info)) throw new GoUrlError("invalid userinfo");
  const colon = info.indexOf(":");
  if (colon < 0) return { user: { name: percentDecode(info), password: undefined }, host };
  return { user: { name: percentDecode(info.slice(0, colon)), password: percentDecode(info.slice(colon + 1)) }, host };
}

function hostOf(text: string): string {
  if (text.startsWith("[")) {
    const end = text.lastIndexOf("]");
    if (end < 0) throw new GoUrlError("missing ']' in host");
    checkPort(text.slice(end + 1));
    return text.replace(/%25/i, "%");
  }
  const colon = text.lastIndexOf(":");
  if (colon >= 0) checkPort(text.slice(colon));
  if (/[ "<>^`{|}\\]/.test(text)) throw new GoUrlError("invalid character in host name");
  if (/%(?![89A-Fa-f][0-9A-Fa-f])/.test(text)) throw new GoUrlError("invalid URL escape in host name");
  return percentDecode(text);
}
function checkPort(port: string): void {
  if (port !== "" && !/^:[0-9]*$/.test(port)) throw new GoUrlError(`invalid port ${JSON.stringify(port)} after host`);
}

/** Bytes in percent signs as text; what is no UTF-8 becomes U+FFFD. Throws GoUrlError. */
export function percentDecode(text: string): string {
  if (!text.includes("%")) return text;
  const bad = /%(?![0-9A-Fa-f]{2}).{0,2}/su.exec(text);
  if (bad !== null) throw new GoUrlError(`invalid URL escape ${JSON.stringify(bad[0])}`);
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString());
}

/** The host without its port and brackets. */
export function hostName(host: string): string {
  if (host.startsWith("[")) return host.slice(1, host.indexOf("]"));
  return host.replace(/:[0-9]*$/, "");
}
export function portOf(host: string): string {
  return /:([0-9]+)$/.exec(host.slice(host.lastIndexOf("]") + 1))?.[1] ?? "";
}

const escapeAll = (text: string, kept: RegExp): string =>
  Array.from(Buffer.from(text), (byte) => {
    const char = String.fromCharCode(byte);
    return kept.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");

const PATH = /[0-9A-Za-z\-_.~$&+,/:;=@]/;
const VALID_PATH = /^(?:[0-9A-Za-z\-_.~$&+,/:;=@!'()*[\]]|%[0-9A-Fa-f]{2})*$/;
const FRAGMENT = /[0-9A-Za-z\-_.~$&+,/:;=?@!()*]/;
const VALID_FRAGMENT = /^(?:[0-9A-Za-z\-_.~$&+,/:;=?@!'()*[\]]|%[0-9A-Fa-f]{2})*$/;
const USER = /[0-9A-Za-z\-_.~$&+,;=]/;
const HOST = /[0-9A-Za-z\-_.~!$&'()*+,;=:[\]<>"\x80-\xff]/;

export function userInfo({ name, password }: NonNullable<GoUrl["user"]>): string {
  return escapeAll(name, USER) + (password === undefined ? "" : `:${escapeAll(password, USER)}`);
}

/** The URL as text again, with what must be escaped. */
export function goUrlText(url: GoUrl): string {
  let out = url.scheme === "" ? "" : `${url.scheme}:`;
  if (url.opaque !== "") out += url.opaque;
  else {
    if (url.scheme !== "" || url.host !== "" || url.user !== undefined) {
      if (url.host !== "" || url.path !== "" || url.user !== undefined) out += "//";
      if (url.user !== undefined) out += `${userInfo(url.user)}@`;
      out += escapeAll(url.host, HOST);
    }
    const path = VALID_PATH.test(url.rawPath) ? url.rawPath : url.path === "*" ? "*" : escapeAll(url.path, PATH);
    if (path !== "" && !path.startsWith("/") && url.host !== "") out += "/";
    if (out === "" && path.split("/")[0]!.includes(":")) out += "./";
    out += path;
  }
  if (url.hasQuery) out += `?${url.rawQuery}`;
  if (url.fragment !== "") {
    out += `#${VALID_FRAGMENT.test(url.rawFragment) ? url.rawFragment : escapeAll(url.fragment, FRAGMENT)}`;
  }
  return out;
}
