import { open } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { GroupsError, readGroups } from "#kits/discovery/groups";
import { MAX_TARGETS_BYTES } from "#kits/discovery/http";
import { targetsOf } from "#kits/discovery/labels";
import type { PartAnswer } from "#kits/discovery/targets";
import { deepestExisting, explainFailure } from "#kits/tail/explain";
import type { Glob } from "#kits/tail/glob";

/** The files of patterns: prometheus/discovery/file. */

export interface FoundFiles {
  /** In order, each once; as patterns give them, and as they are written where they are no patterns. */
  readonly paths: readonly string[];
  /** Patterns without a file. */
  readonly empty: readonly string[];
  /** Folders in which something may change what is found. */
  readonly folders: ReadonlySet<string>;
  /** Folders that cannot be read. */
  readonly unreadable: ReadonlyMap<string, Error>;
}

export interface ReadFile {
  readonly answer: PartAnswer;
  /** Last change in epoch seconds; undefined when the file cannot be read. */
  readonly mtime: number | undefined;
}

export function hasKnownForm(path: string): boolean {
  return formOf(path) !== undefined;
}

function formOf(path: string): "json" | "yaml" | undefined {
  const extension = extname(path).toLowerCase();
  if (extension === ".json") return "json";
  return extension === ".yml" || extension === ".yaml" ? "yaml" : undefined;
}

export async function findFiles(globs: readonly Glob[]): Promise<FoundFiles> {
  const paths = new Set<string>();
  const empty: string[] = [];
  const folders = new Set<string>();
  const unreadable = new Map<string, Error>();
  const onError = (path: string, error: NodeJS.ErrnoException) => {
    unreadable.set(path, new Error(explainFailure(path, error)));
  };
  const visits = { directory: async (path: string) => void folders.add(path), unsure: () => {} };
  for (const glob of globs) {
    const found = await glob.find(onError, visits);
    if (found.length === 0) empty.push(glob.pattern);
    for (const path of glob.isPattern || found.length === 0 ? found : [glob.pattern]) {
      if (hasKnownForm(path)) paths.add(path);
      folders.add(dirname(path));
    }
    for (const base of glob.bases) folders.add(deepestExisting(`${base}/file`));
  }
  return { paths: [...paths], empty, folders, unreadable };
}

/** The targets of a file; an answer that is an error names the line where it is the text that is wrong. */
export async function readTargets(path: string): Promise<ReadFile> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(path);
    const { mtimeMs, size } = await file.stat();
    if (size > MAX_TARGETS_BYTES) {
      const answer = new Error(`it has ${size} bytes, more than the ${MAX_TARGETS_BYTES} that are read; divide it`);
      return { answer, mtime: undefined };
    }
    const content = await file.readFile();
    const groups = readGroups(content, formOf(path)!, ["__meta_filepath", path]);
    return { answer: targetsOf(groups), mtime: Math.trunc(mtimeMs / 1_000) };
  } catch (error) {
    const answer =
      error instanceof GroupsError ? error : new Error(explainFailure(path, error as NodeJS.ErrnoException));
    return { answer, mtime: undefined };
  } finally {
    await file?.close();
  }
}
