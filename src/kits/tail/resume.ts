import { basename, dirname, join } from "node:path";
import { beginsAs, type FileIdentity } from "./file-io.ts";
import { namesFile } from "./holders.ts";
import { OpenFile, type OpenFileOptions, type ReadSlot } from "./open-file.ts";
import type { Position } from "./positions.ts";
import { isRotationOf, originalNames, siblingsOf } from "./siblings.ts";
import type { TailEnvironment } from "./tail-environment.ts";

/** Where a file that was opened goes on, and what is to be read before it. */

/** A shorter beginning may be that of any file. */
const LEAST_FINGERPRINT = 16;

/** A directory that is read in the middle of a rotation is read again, so often. */
const MAX_LISTINGS = 5;

export interface TailPlace {
  readonly path: string;
  /** The target's labels as text. */
  readonly labelText: string;
  readonly environment: TailEnvironment;
  readonly fileOptions: OpenFileOptions;
}

type Start =
  | {
      readonly kind: "at";
      readonly offset: number;
      /** Entries under other names or labels, which the file's new entry takes the place of. */
      readonly superseded: readonly Position[];
    }
  | { readonly kind: "damaged" }
  | { readonly kind: "end" }
  /** Another tail has its lines, now or soon. */
  | { readonly kind: "wait" };

async function findStart(place: TailPlace, file: OpenFile): Promise<Start> {
  const { path, labelText, environment } = place;
  const { positions, legacy, tailFromEnd } = environment;
  let entries = positions.get(path, labelText);
  if (entries.length === 0 && legacy) entries = positions.get(path, "{}");
  // Before the entries of the file: when a tail notices the cut, the original's entry becomes one of the copy.
  const copied = await copiedFrom(place, file);
  const past = await pastOf(place, file);
  const known = [...entries.filter((entry) => isSame(entry, file)), ...past].sort((a, b) => b.offset - a.offset)[0];
  // Truncated while nobody looked; how much was lost is not known.
  if (known !== undefined) return at(known.offset > file.size ? 0 : known.offset, past);
  const imported = entries.find((entry) => entry.file === undefined);
  if (imported !== undefined) {
    if (Number.isNaN(imported.offset)) return { kind: "damaged" };
    // Alloy takes a position of 0 for none.
    if (imported.offset > 0) return at(imported.offset > file.size ? 0 : imported.offset);
  }
  if (copied !== undefined) return copied;
  return tailFromEnd && !entries.some((entry) => entry.file !== undefined) ? { kind: "end" } : at(0);
}

/** Sets a file's offset as its position and the arguments say. `waiting`: another tail has its lines, now or soon. */
export async function seekToStart(
  place: TailPlace,
  file: OpenFile,
  slot: Pick<ReadSlot, "buffer">,
): Promise<"ready" | "waiting" | "damaged"> {
  const { onPositionError, log, positions } = place.environment;
  const start = await findStart(place, file);
  if (start.kind === "wait") return "waiting";
  if (start.kind === "at") {
    file.seek(start.offset);
    for (const entry of start.superseded) positions.remove(entry.path, entry.labels, entry.file);
    // At the same time, or a save in between would know of neither.
    if (start.superseded.length > 0) {
      positions.put({ path: place.path, labels: place.labelText, file: file.identity, offset: start.offset });
    }
    return "ready";
  }
  if (start.kind === "damaged" && onPositionError === "skip") return "damaged";
  if (start.kind === "end" || onPositionError === "restart_from_end") await file.seekToEnd(slot);
  else file.seek(0);
  if (start.kind === "damaged") {
    log.info("reset position after a positions file error", { path: place.path, offset: file.offset });
  }
  return "ready";
}

function at(offset: number, superseded: readonly Position[] = []): Start {
  return { kind: "at", offset, superseded };
}

/**
 * Entries of the file under a name that it no longer has or labels that no target has any longer. After several rotations
 * there may be one for each name; the furthest is the latest.
 */
async function pastOf(place: TailPlace, file: OpenFile): Promise<Position[]> {
  const past: Position[] = [];
  for (const entry of place.environment.positions.ofFile(file)) {
    const isOwn = entry.path === place.path && entry.labels === place.labelText;
    if (isSame(entry, file) && !isOwn && !(await isOthers(place, entry, file))) past.push(entry);
  }
  return past;
}

/** Whether the target of an entry is there, and goes on reading the file beside ours. */
async function isOthers({ path, labelText, environment }: TailPlace, entry: Position, file: OpenFile) {
  if (environment.tailOf(entry.path, entry.labels) === undefined) return false;
  // Whatever name the file has gone to, a target with those labels is there too.
  if (entry.labels !== labelText && environment.tailOf(path, entry.labels) !== undefined) return true;
  // Our own name last: of a file that is renamed in between it would seem that it has both.
  return (await namesFile(entry.path, file)) && (await namesFile(path, file));
}

/**
 * A file that `copytruncate` made of another target's file goes on where that one was read to. While the original is still
 * there in full, or its tail has not noticed the cut, its lines come from there.
 */
async function copiedFrom({ path, labelText, environment }: TailPlace, file: OpenFile): Promise<Start | undefined> {
  for (const name of originalNames(basename(path))) {
    const original = join(dirname(path), name);
    const tail = environment.tailOf(original, labelText);
    // If the original was cut while nobody looked, its tail finds that out, and gives what is known of it to the copy.
    await tail?.opening;
    if (tail?.isUnopened) return { kind: "wait" };
    const live = tail?.current;
    if (live !== undefined && (await live.isLongerThan(file))) return { kind: "wait" };
    for (const { file: known, offset } of environment.positions.get(original, labelText)) {
      if (known === undefined || known.fingerprint.length < LEAST_FINGERPRINT || offset > file.size) continue;
      if (isFile(known, file) || !beginsAs(file.head, known.fingerprint)) continue;
      if (live !== undefined && isFile(known, live) && beginsAs(live.head, known.fingerprint)) {
        if (await live.isCut()) return { kind: "wait" };
      } else if (await namesFile(original, known)) return at(offset);
    }
  }
  return undefined;
}

/** Opens files that were rotated away and not finished, or that had the name in between; the oldest first. */
export async function openRotated(place: TailPlace, current: OpenFile): Promise<OpenFile[]> {
  const { path, labelText, environment } = place;
  const { positions } = environment;
  const files: OpenFile[] = [];
  let bornMs = 0;
  for (const entry of positions.get(path, labelText)) {
    if (entry.file === undefined || isSame(entry, current)) continue;
    // One that is not found stays known: the directory may have been read in the middle of a rotation.
    for (const { file, offset, isOurs } of await openEntry(place, entry, current)) {
      bornMs = Math.max(bornMs, file.bornMs);
      // Who held it until now may have got further meanwhile.
      const latest = positions.get(path, labelText).find((each) => isSame(each, file))?.offset ?? 0;
      file.seek(Math.max(offset, latest));
      if (isOurs && file.size > file.offset && !isHeld(place, file)) files.push(file);
      else await file.close();
    }
  }
  files.push(...(await openInBetween(place, bornMs, current)));
  return files;
}

/**
 * Whether a tail with the same labels has the file's lines in hand: that of a target that is gone, which was missed in the
 * middle of a rotation and has come back.
 */
function isHeld({ environment, labelText }: TailPlace, file: { readonly device: number; readonly inode: number }) {
  return environment.holders.of(file).some((tail) => tail.labelText === labelText);
}

interface Found {
  readonly file: OpenFile;
  readonly offset: number;
  /** Whether no other target has it. */
  readonly isOurs: boolean;
}

/** The file of an entry under whatever name; if it was cut, the copy that was made before, and what it has become. */
async function openEntry(place: TailPlace, entry: Position, current: OpenFile): Promise<Found[]> {
  const { path, labelText, environment, fileOptions } = place;
  const wanted = entry.file!;
  const isOurs = (at: string) => environment.tailOf(at, labelText) === undefined;
  // The one that is held open may have lost its name, and is the file of the entry all the same.
  const at = isFile(wanted, current) ? path : await environment.inodes.find(path, wanted);
  if (at === undefined) return [];
  const regrown: Found[] = [];
  if (!isFile(wanted, current)) {
    const file = await OpenFile.open(at, fileOptions).catch(() => undefined);
    if (file === undefined) return [];
    if (isSame(entry, file)) return [{ file, offset: entry.offset, isOurs: isOurs(at) }];
    regrown.push({ file, offset: 0, isOurs: isOurs(at) });
  }
  const copy = await openCopyOf(place, entry, current);
  if (copy === undefined) {
    // Another file that got the inode of one that is gone.
    for (const { file } of regrown) await file.close();
    return [];
  }
  environment.positions.remove(entry.path, entry.labels, wanted);
  environment.positions.put({ path, labels: labelText, file: copy.file.identity, offset: entry.offset });
  return [{ file: copy.file, offset: entry.offset, isOurs: isOurs(copy.path) }, ...regrown];
}

/** What a file was copied to before it was cut, by what is known of it after a restart. */
async function openCopyOf({ path, fileOptions }: TailPlace, { file: cut, offset }: Position, current: OpenFile) {
  const { fingerprint } = cut!;
  if (fingerprint.length < LEAST_FINGERPRINT) return undefined;
  for (const sibling of (await siblingsOf(path, () => true)).siblings) {
    if (sibling.size < offset || isFile(sibling, current) || isFile(sibling, cut!)) continue;
    const file = await OpenFile.open(sibling.path, fileOptions).catch(() => undefined);
    if (file !== undefined && beginsAs(file.head, fingerprint)) return { file, path: sibling.path };
    await file?.close();
  }
  return undefined;
}

/**
 * Files that had the name after one that was born at `sinceMs` and before the current one, or copies of them, found by the
 * names that rotations give: two rotations in a row leave one that nobody has seen.
 */
export async function openInBetween(place: TailPlace, sinceMs: number, current: OpenFile): Promise<OpenFile[]> {
  const { path, labelText, environment, fileOptions } = place;
  if (sinceMs === 0) return [];
  const files: OpenFile[] = [];
  for (const sibling of (await siblingsOf(path, isRotationOf)).siblings) {
    // Files that are made within one tick of the system's clock have the same time; those that are known are told below.
    if (sibling.bornMs < sinceMs || isFile(sibling, current)) continue;
    if (environment.tailOf(sibling.path, labelText) !== undefined) continue;
    if (isHeld(place, sibling)) continue;
    const file = await OpenFile.open(sibling.path, fileOptions).catch(() => undefined);
    if (file === undefined) continue;
    const isKnown = environment.positions
      .ofFile(file)
      .some((entry) => isSame(entry, file) && entry.labels === labelText);
    if (isKnown || isCopyOfKnown(place, file) || (await current.isLongerThan(file))) {
      await file.close();
      continue;
    }
    file.seek(0);
    files.push(file);
  }
  return files.sort((a, b) => a.bornMs - b.bornMs || a.modifiedMs - b.modifiedMs);
}

function isCopyOfKnown({ path, labelText, environment }: TailPlace, file: OpenFile): boolean {
  return environment.positions
    .get(path, labelText)
    .some(
      ({ file: known }) =>
        known !== undefined && known.fingerprint.length >= LEAST_FINGERPRINT && beginsAs(file.head, known.fingerprint),
    );
}

/**
 * Editors and some programs rewrite a file by putting a longer copy in its place: the old one is gone then, and the new one
 * begins with all that was read of it.
 */
export async function openRewritten(place: TailPlace, old: OpenFile): Promise<OpenFile | undefined> {
  if (old.head.length === 0) return undefined;
  await old.refresh().catch(() => {});
  if (old.links > 0) return undefined;
  const file = await OpenFile.open(place.path, place.fileOptions).catch(() => undefined);
  if (file !== undefined && (await old.isCopiedIn(file))) return file;
  await file?.close();
  return undefined;
}

/** Opens the copy that was made of a file before it was cut: it has what was not read, or at least what was. */
export async function openCopy(place: TailPlace, cut: OpenFile): Promise<OpenFile | undefined> {
  for (let attempt = 0; attempt < MAX_LISTINGS; attempt++) {
    const { siblings, isStable } = await siblingsOf(place.path, () => true);
    let isDone = isStable;
    for (const sibling of siblings) {
      if (sibling.size < cut.offset || isFile(sibling, cut)) continue;
      const copy = await OpenFile.open(sibling.path, place.fileOptions).catch(() => undefined);
      if (copy !== undefined && (await cut.isCopiedIn(copy))) return copy;
      isDone &&= copy !== undefined && isFile(copy, sibling);
      await copy?.close();
    }
    if (isDone) return undefined;
  }
  return undefined;
}

function isFile(a: { readonly device: number; readonly inode: number }, b: typeof a): boolean {
  return a.device === b.device && a.inode === b.inode;
}

function isSame(entry: Position, file: OpenFile): boolean {
  const known: FileIdentity | undefined = entry.file;
  return known !== undefined && isFile(known, file) && beginsAs(file.head, known.fingerprint);
}
