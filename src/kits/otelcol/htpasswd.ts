/** htpasswd files, as the Collector's basicauth extension reads them: bcrypt, apr1, SHA-1, salted SHA-1 and plain text. */
import { createHash, timingSafeEqual } from "node:crypto";
import { checkBcrypt } from "./bcrypt.ts";

const MAX_REMEMBERED = 1_000;
const APR1_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

export class Htpasswd {
  readonly #hashes: ReadonlyMap<string, string>;
  /** Digests of credentials that were found right, since a slow hash is meant for logins and not for each request. */
  readonly #right = new Set<string>();

  /** Lines of `user:hash`; others are skipped. */
  constructor(text: string) {
    const hashes = new Map<string, string>();
    for (const line of text.split("\n")) {
      const mark = line.indexOf(":");
      const trimmed = line.trim();
      if (mark > 0 && !trimmed.startsWith("#")) hashes.set(line.slice(0, mark).trim(), line.slice(mark + 1).trim());
    }
    this.#hashes = hashes;
  }

  matches(user: string, password: string): boolean {
    const hash = this.#hashes.get(user);
    if (hash === undefined) return false;
    const digest = createHash("sha256").update(`${user.length}:${user}${password}`).digest("base64");
    if (this.#right.has(digest)) return true;
    if (!checkPassword(password, hash)) return false;
    if (this.#right.size >= MAX_REMEMBERED) this.#right.clear();
    this.#right.add(digest);
    return true;
  }
}

function checkPassword(password: string, hash: string): boolean {
  if (/^\$2[aby]\$/.test(hash)) return checkBcrypt(password, hash);
  if (hash.startsWith("$apr1$") || hash.startsWith("$1$")) return same(apr1(password, hash), hash);
  if (hash.startsWith("{SHA}")) return same(`{SHA}${createHash("sha1").update(password).digest("base64")}`, hash);
  if (hash.startsWith("{SSHA}")) {
    const bytes = Buffer.from(hash.slice(6), "base64");
    const made = createHash("sha1").update(password).update(bytes.subarray(20)).digest();
    return bytes.length > 20 && timingSafeEqual(made, bytes.subarray(0, 20));
  }
  return same(password, hash);
}

/** Compares in a time that tells nothing about where two texts differ. */
function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Apache's variant of the MD5 crypt; the hash gives the salt. */
function apr1(password: string, hash: string): string {
  const [, name = "", salt = ""] = hash.split("$");
  const magic = `$${name}$`;
  const md5 = (...parts: (string | Uint8Array)[]) => {
    const made = createHash("md5");
    for (const part of parts) made.update(part);
    return made.digest();
  };
  const secret = Buffer.from(password, "utf8");
  let digest = md5(secret, salt, secret);
  const begin: (string | Uint8Array)[] = [secret, magic, salt];
  for (let left = secret.length; left > 0; left -= 16) begin.push(digest.subarray(0, Math.min(16, left)));
  for (let bit = secret.length; bit > 0; bit >>= 1) begin.push(bit & 1 ? Buffer.alloc(1) : secret.subarray(0, 1));
  digest = md5(...begin);
  for (let round = 0; round < 1000; round++) {
    const parts: (string | Uint8Array)[] = [round & 1 ? secret : digest];
    if (round % 3 !== 0) parts.push(salt);
    if (round % 7 !== 0) parts.push(secret);
    parts.push(round & 1 ? digest : secret);
    digest = md5(...parts);
  }
  let out = `${magic}${salt}$`;
  const groups = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5], [11]];
  for (const group of groups) {
    let bits = group.reduce((sum, index) => (sum << 8) | digest[index]!, 0);
    for (let i = 0; i < group.length + 1; i++, bits >>>= 6) out += APR1_ALPHABET[bits & 63];
  }
  return out;
}
