import { join } from "node:path";
import { type Clock, systemClock } from "#base/clock";
import { Labels } from "#base/labels";
import { createLogger } from "#base/log";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { Flow } from "#pipeline/flow";
import { fileEncoding } from "./encoding.ts";
import { Positions } from "./positions.ts";
import type { LossReason, Rotation } from "./tail-environment.ts";
import { Tailer } from "./tailer.ts";

/** Pauses pass fifty times as fast, so that tests need not wait for them; the time of day is real. */
export const fastClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 50,
  sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
};
export const LABELS = Labels.from([["job", "x"]]);

export type TailLife = Awaited<ReturnType<typeof startTailer>>;

/** One life of a tailer with its positions in `directory`/data. Disposing of it is an orderly stop, without waiting for confirmations. */
export async function startTailer(directory: string) {
  const messages: string[] = [];
  const lines: string[] = [];
  const unsafe = new Set<string>();
  const losses: { readonly bytes: number; readonly reason: LossReason }[] = [];
  const rotations: Rotation[] = [];
  let held: Acknowledgement[] | undefined;
  let gate: Promise<void> | undefined;
  const log = createLogger({
    enabled: () => true,
    write: ({ message, fields }) => void messages.push(`${message} ${JSON.stringify(fields)}`),
  });
  const positions = new Positions({
    directory: join(directory, "data"),
    legacyFile: "",
    clock: fastClock,
    log,
    onProblem: () => {},
  });
  await positions.load();
  const tailer = new Tailer({
    clock: fastClock,
    log,
    positions,
    encoding: fileEncoding(""),
    tailFromEnd: false,
    onPositionError: "restart_from_beginning",
    legacy: false,
    minPollMs: 50,
    maxPollMs: 50,
    accounts: new Flow(() => 0),
    consume(batch) {
      for (let i = 0; i < batch.count; i++) {
        const line = Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])).toString();
        lines.push(line);
        unsafe.add(line);
      }
      if (held === undefined) batch.acknowledgement.release();
      else held.push(batch.acknowledgement);
      return gate;
    },
    lost: (_, bytes, reason) => void (bytes > 0 && losses.push({ bytes, reason })),
    rotated: (rotation) => void rotations.push(rotation),
  });
  const stop = new AbortController();
  const running = [tailer.run(stop.signal), positions.run(stop.signal)];
  const end = async () => {
    stop.abort();
    await Promise.all(running);
  };
  return {
    lines,
    /** Lines that came and need not be in the positions yet. */
    unsafe,
    messages,
    losses,
    rotations,
    positions,
    tailer,
    follow: (...paths: string[]) => tailer.setTargets(paths.map((path) => ({ path, labels: LABELS }))),
    followAs: (labels: Labels, path: string) => tailer.setTargets([{ path, labels }]),
    get isHolding() {
      return (held?.length ?? 0) > 0;
    },
    /** Confirms nothing from now on. */
    hold() {
      held ??= [];
    },
    acknowledge() {
      for (const each of held ?? []) each.release();
      held = undefined;
    },
    /** What is handed on from now on is not accepted until the returned function is called: back-pressure. */
    block(): () => void {
      let open = () => {};
      gate = new Promise((resolve) => (open = resolve));
      return () => {
        gate = undefined;
        open();
      };
    },
    /** Resolves once what came is confirmed and in the positions on the disk. */
    async safe(): Promise<void> {
      await eventually(() => tailer.outstanding === 0, "everything is confirmed");
      await positions.save();
      unsafe.clear();
    },
    stopped: () =>
      eventually(() => messages.some((each) => each.startsWith("stopped tailing file")), "it stops tailing"),
    /** Ends without saving anything, as a kill does. */
    kill: end,
    async [Symbol.asyncDispose]() {
      await end();
      await positions.save();
    },
  };
}

export async function eventually(check: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !check(); ) {
    if (performance.now() > end) throw new Error(`it did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}
