import { mkdirSync, statSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

type SystemError = NodeJS.ErrnoException;

/**
 * Makes a folder with all that are missing above it, and says whether anything was missing. Not with `recursive` of Node,
 * which never comes to an end where a file system takes no folders, such as below /proc. Rejects with a system error, or,
 * for such a file system, with an Error that says what to do.
 */
export async function makeFolder(path: string, mode = 0o777): Promise<boolean> {
  const steps = stepsTo(path);
  let step = steps.next();
  while (!step.done) {
    step = steps.next(
      await mkdir(step.value, { mode }).then(
        () => undefined,
        (error: SystemError) => error,
      ),
    );
  }
  if (!step.value && !(await stat(path)).isDirectory()) throw fileInTheWay(path);
  return step.value;
}

export function makeFolderSync(path: string, mode = 0o777): boolean {
  const steps = stepsTo(path);
  let step = steps.next();
  while (!step.done) {
    let failure: SystemError | undefined;
    try {
      mkdirSync(step.value, { mode });
    } catch (error) {
      failure = error as SystemError;
    }
    step = steps.next(failure);
  }
  if (!step.value && !statSync(path).isDirectory()) throw fileInTheWay(path);
  return step.value;
}

/** The folders to make one by one, each answered with why it could not be; returns whether the last of them was made. */
function* stepsTo(path: string): Generator<string, boolean, SystemError | undefined> {
  const missing: string[] = [];
  let at = resolve(path);
  for (;;) {
    const failure = yield at;
    if (failure === undefined || failure.code === "EEXIST") {
      if (missing.length === 0) return failure === undefined;
      break;
    }
    if (failure.code !== "ENOENT" || dirname(at) === at) throw failure;
    missing.push(at);
    at = dirname(at);
  }
  let failure: SystemError | undefined;
  for (const each of missing.reverse()) {
    failure = yield each;
    if (failure === undefined || failure.code === "EEXIST") continue; // somebody else was quicker
    if (failure.code !== "ENOENT") throw failure;
    throw new Error(`the file system of ${dirname(each)} takes no folders: choose another place than ${path}`, {
      cause: failure,
    });
  }
  return failure === undefined;
}

function fileInTheWay(path: string): SystemError {
  return Object.assign(new Error(`a file is in the way of the folder ${path}`), { code: "EEXIST" });
}
