import { createHash, timingSafeEqual } from "node:crypto";
import { HttpError } from "./server-body.ts";

/** Which paths need the password. Left out: all. Matches internal/service/http/auth.go of Alloy. */
export interface PathFilter {
  /** Prefixes. */
  readonly paths: readonly string[];
  /** True: only paths with one of the prefixes need it; false: only those without. */
  readonly authenticateMatching: boolean;
}

/** Looks at each request before its route does; throws an HttpError to refuse it. */
export type RequestGuard = (path: string, headers: ReadonlyMap<string, string>) => void;

/** Demands a user and password. Compared by hashes, so that the time taken tells nothing about them. */
export function basicAuthGuard(username: string, password: string, filter?: PathFilter): RequestGuard {
  const wantedUser = hash(username);
  const wantedPassword = hash(password);
  return (path, headers) => {
    if (filter !== undefined) {
      const matches = filter.paths.some((prefix) => path.startsWith(prefix));
      if (matches !== filter.authenticateMatching) return;
    }
    const [, encoded] = /^basic +(.+)$/i.exec(headers.get("authorization") ?? "") ?? [];
    const plain = Buffer.from(encoded ?? "", "base64").toString("utf8");
    const colon = plain.indexOf(":");
    const sameUser = timingSafeEqual(hash(plain.slice(0, Math.max(colon, 0))), wantedUser);
    const samePassword = timingSafeEqual(hash(plain.slice(colon + 1)), wantedPassword);
    if (encoded === undefined || colon < 0 || !sameUser || !samePassword) {
      throw new HttpError(401, "unauthorized", { "www-authenticate": 'Basic realm="Restricted"' });
    }
  };
}

function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
