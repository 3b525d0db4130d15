import { createHash } from "node:crypto";
import { close, fstat, open, read, type Stats, stat } from "node:fs";

/** Promises over plain file descriptors: FileHandle costs more per call and complains when it is collected unclosed. */

export function openFile(path: string): Promise<number> {
  return new Promise((resolve, reject) => open(path, "r", (error, fd) => (error ? reject(error) : resolve(fd))));
}

export function closeFile(fd: number): Promise<void> {
  return new Promise((resolve) => close(fd, () => resolve()));
}

export function statFile(fd: number): Promise<Stats> {
  return new Promise((resolve, reject) => fstat(fd, (error, stats) => (error ? reject(error) : resolve(stats))));
}

/** Reads at `position`; resolves to the number of bytes, 0 at the end of the file. */
export function readFile(
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) =>
    read(fd, buffer, offset, length, position, (error, count) => (error ? reject(error) : resolve(count))),
  );
}

/** What a path leads to; undefined if nothing is there. Rejects with what else the system says. */
export function statIfThere(path: string): Promise<Stats | undefined> {
  return new Promise((resolve, reject) =>
    stat(path, (error, stats) => {
      if (error === null || error.code === "ENOENT" || error.code === "ENOTDIR") resolve(stats);
      else reject(error);
    }),
  );
}

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
}

/** What a file begins with, as a hash: tells a file from another that got its inode or its name. */
export interface Fingerprint {
  /** The number of bytes hashed, at most FINGERPRINT_BYTES. */
  readonly length: number;
  readonly hash: string;
}

export const FINGERPRINT_BYTES = 1024;

/** Which file it is, whatever its name. */
export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
  readonly fingerprint: Fingerprint;
}

/**
 * The first bytes of a file, as many as there are up to FINGERPRINT_BYTES. Read at once: of a file that is cut meanwhile,
 * pieces would be of two contents.
 */
export async function readHead(fd: number): Promise<Buffer> {
  const head = Buffer.allocUnsafeSlow(FINGERPRINT_BYTES); // not of the pool, whose parts stay as long as one of them is kept
  return head.subarray(0, await readFile(fd, head, 0, FINGERPRINT_BYTES, 0));
}

export function fingerprintOf(head: Uint8Array, length = head.length): Fingerprint {
  return { length, hash: createHash("sha256").update(head.subarray(0, length)).digest("hex").slice(0, 32) };
}

/** Whether a file that begins with `head` may be the one of the fingerprint, perhaps grown since. */
export function beginsAs(head: Uint8Array, fingerprint: Fingerprint): boolean {
  return head.length >= fingerprint.length && fingerprintOf(head, fingerprint.length).hash === fingerprint.hash;
}
