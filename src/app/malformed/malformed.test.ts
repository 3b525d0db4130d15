import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { type Chance, damage, damageWords, numbers } from "#formats/damage.testing";
import { MESSAGES, type MessageKind } from "./messages.testing.ts";
import { Pipelines } from "./pipelines.testing.ts";

/**
 * Messages that clients have damaged: none crashes or stalls what reads them, and what a receiver lets in can be worked on by
 * all that comes after it. A long run, in parts that can be repeated and gone on with:
 *
 *     MALFORMED_INPUTS=10000000 MALFORMED_SEED=1 node --no-maglev-osr src/app/malformed/malformed.test.ts
 *
 * `MALFORMED_KINDS` names some kinds (see MESSAGES), separated by commas, and `MALFORMED_FROM` the first input of each.
 */
const { MALFORMED_INPUTS, MALFORMED_SEED, MALFORMED_FROM, MALFORMED_KINDS } = process.env;
const KINDS = MALFORMED_KINDS?.split(",") ?? [...MESSAGES.keys()];
const INPUTS = Math.ceil(Number(MALFORMED_INPUTS ?? 2_000) / KINDS.length);
const SEED = Number(MALFORMED_SEED ?? Date.now() & 0x7fffffff);
const FROM = Number(MALFORMED_FROM ?? 0);

/**
 * What one input of some hundred bytes may take of the processor; most take less than a thousandth of it. A collection of
 * garbage, or another machine on the same processor, may count to one input: a stall is what stalls twice.
 */
const LIMIT_MS = 500;
/** So many have their pipelines and sound messages in common; a part of another run is the same inputs. */
const ROUND = 10_000;
/** After so many, time goes on, and what happened in the background is looked at. */
const PAUSE = 64;

interface Tally {
  taken: number;
  refused: number;
  slowestMs: number;
}

async function run(name: string, kind: MessageKind, from: number, to: number, tally: Tally): Promise<void> {
  const seed = SEED + crc32(name);
  const round = Math.floor(from / ROUND);
  const sound = kind.sound((seed + round) | 0);
  const pipelines = await Pipelines.start(numbers(seed + round));
  let recent: Buffer[] = [];
  for (let n = from; n < to; n++) {
    const pick = numbers(seed + Math.imul(n, 0x9e3779b1));
    const bytes = damaged(kind, sound, pick);
    recent.push(bytes);
    try {
      const [isTaken, ms] = await timed(() => kind.take(bytes, pipelines, pick));
      if (isTaken) tally.taken += 1;
      else tally.refused += 1;
      tally.slowestMs = Math.max(tally.slowestMs, ms);
      if (ms >= LIMIT_MS) {
        const [, again] = await timed(() => kind.take(bytes, pipelines, numbers(n)));
        assert.ok(again < LIMIT_MS, `it took ${ms} ms of the processor, and then ${again} ms`);
      }
      if ((n + 1) % PAUSE === 0 || n + 1 === to) {
        await pipelines.clock.advance(1_000);
        pipelines.check();
        recent = [];
      }
    } catch (cause) {
      const again = `MALFORMED_KINDS="${name}" MALFORMED_SEED=${SEED} MALFORMED_FROM=${n} MALFORMED_INPUTS=1`;
      throw new Error(
        `${again}, or one before it: ${recent
          .reverse()
          .map((each) => each.toString("base64"))
          .join(" ")}`,
        { cause },
      );
    }
  }
  await pipelines.stop();
}

/** What it comes to, and how long the thread's processor worked for it. */
async function timed<T>(work: () => T | Promise<T>): Promise<readonly [result: T, ms: number]> {
  const before = process.threadCpuUsage();
  let result = work();
  if (result instanceof Promise) result = await result;
  const { user, system } = process.threadCpuUsage(before);
  return [result, (user + system) / 1_000];
}

function damaged({ isText }: MessageKind, sound: readonly Uint8Array[], pick: Chance): Buffer {
  const [one, other] = [sound[pick(sound.length)]!, sound[pick(sound.length)]!];
  if (!isText || pick(4) === 0) return damage(one, other, pick);
  return Buffer.from(damageWords(Buffer.from(one).toString(), Buffer.from(other).toString(), pick));
}

for (const name of KINDS) {
  test(`damaged messages do no harm: ${name}`, async () => {
    const kind = MESSAGES.get(name);
    assert.ok(kind, `there is no kind "${name}", but ${[...MESSAGES.keys()].join(", ")}`);
    const tally: Tally = { taken: 0, refused: 0, slowestMs: 0 };
    for (let n = FROM; n < FROM + INPUTS; ) {
      const next = Math.min(FROM + INPUTS, n - (n % ROUND) + ROUND);
      await run(name, kind, n, next, tally);
      n = next;
      if (MALFORMED_INPUTS !== undefined) process.stderr.write(`${name}: up to ${n}, ${JSON.stringify(tally)}\n`);
    }
    if (INPUTS > 100) assert.ok(tally.taken > 0 && tally.refused > 0, JSON.stringify(tally));
  });
}
