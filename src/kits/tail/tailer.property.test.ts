import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { startTailer, type TailLife } from "./tailer.testing.ts";

/**
 * Random sequences of what happens to a log file, against a model: after all of it every line has come, and none came
 * twice but those that were not safe when the agent ended.
 */

const STEPS = [
  "write",
  "rename",
  "move",
  "copytruncate",
  "replace",
  "pause",
  "hold",
  "block",
  "settle",
  "stop",
  "kill",
  "start",
] as const;
type Step = (typeof STEPS)[number];

class World {
  readonly root = mkdtempSync(join(tmpdir(), "tail-model-"));
  readonly logs = join(this.root, "logs");
  readonly path: string;
  readonly #isPattern: boolean;
  readonly #isLinked: boolean;
  #life: TailLife | undefined;
  /** Ends the back-pressure. */
  #open = () => {};
  #written = 0;
  #links = 0;
  readonly #messages: string[] = [];
  /** How often each line came, in all lives. */
  readonly #came = new Map<string, number>();
  /** Lines that may come again. */
  readonly #maybeAgain = new Set<string>();

  constructor(mode: "file" | "pattern" | "link") {
    this.#isPattern = mode === "pattern";
    this.#isLinked = mode === "link";
    mkdirSync(this.logs);
    this.path = join(this.logs, "app.log");
    if (!this.#isLinked) writeFileSync(this.path, "");
    else this.#retarget();
  }

  get #real(): string {
    return this.#isLinked ? join(this.logs, `pod${this.#links}`, "0.log") : this.path;
  }

  /** The link leads to the log of another container from now on, as after a restart of a pod. */
  #retarget(): void {
    this.#links += 1;
    mkdirSync(join(this.logs, `pod${this.#links}`));
    writeFileSync(this.#real, "");
    const fresh = `${this.path}.link`;
    symlinkSync(this.#real, fresh);
    renameSync(fresh, this.path);
  }

  async start(): Promise<void> {
    this.#life = await startTailer(this.root);
    this.sync();
  }

  sync(): void {
    const pattern = this.#isPattern ? /^app\.log/ : /^app\.log$/;
    const names = readdirSync(this.logs).filter((name) => pattern.test(name));
    this.#life?.follow(...names.map((name) => join(this.logs, name)));
  }

  async step(step: Step): Promise<void> {
    const life = this.#life;
    if (step === "write") this.#write();
    else if (step === "rename") this.#shift(() => renameSync(this.#real, `${this.#real}.1`), true);
    // As many programs do: the next line makes the new file, and until then a pattern finds none.
    else if (step === "move") this.#shift(() => renameSync(this.#real, `${this.#real}.1`), false);
    else if (step === "copytruncate") {
      if (!existsSync(this.#real)) return;
      this.#shift(() => copyFileSync(this.#real, `${this.#real}.1`), false);
      truncateSync(this.#real);
    } else if (step === "replace") {
      // A file that is deleted is lost unless it was read and confirmed; a link is turned only then, too.
      if (life === undefined) return;
      await this.settle();
      if (this.#isLinked) this.#retarget();
      else {
        rmSync(this.path, { force: true });
        writeFileSync(this.path, "");
      }
      this.#write(); // which shows that the new file was found
      await this.settle();
    } else if (step === "pause") await new Promise((resolve) => setTimeout(resolve, 15));
    else if (step === "hold") life?.hold();
    else if (step === "block") {
      this.#open();
      this.#open = life?.block() ?? this.#open;
    } else if (step === "settle") await this.settle();
    else if (step === "start") {
      if (life === undefined) await this.start();
    } else await this.#end(step === "kill");
    this.sync();
  }

  async #end(killed: boolean): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    if (life === undefined) return;
    this.#open();
    if (killed) await life.kill();
    else await life[Symbol.asyncDispose]();
    const again = killed || life.isHolding;
    this.#count(life);
    this.#messages.push(...life.messages, killed ? "killed" : "stopped");
    if (again) for (const line of life.unsafe) this.#maybeAgain.add(line);
  }

  #count(life: TailLife): void {
    for (const line of life.lines.splice(0)) this.#came.set(line, (this.#came.get(line) ?? 0) + 1);
  }

  #write(): void {
    for (let i = 0; i < 3; i++) appendFileSync(this.#real, `this is line number ${this.#written++} of the model\n`);
  }

  #shift(moveFirst: () => void, isNew: boolean): void {
    const at = this.#real;
    if (!existsSync(at)) return;
    for (let i = 12; i > 0; i--) if (existsSync(`${at}.${i}`)) renameSync(`${at}.${i}`, `${at}.${i + 1}`);
    moveFirst();
    if (isNew) writeFileSync(at, "");
  }

  /** Waits until all lines have come and are safe. */
  async settle(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    life.acknowledge();
    this.#open();
    if (!existsSync(this.#real)) this.#write(); // without a file there is no target, and nobody looks for others
    this.sync();
    for (const end = performance.now() + 60_000; ; ) {
      this.#count(life);
      if (this.#came.size === this.#written) break;
      if (performance.now() > end) assert.fail(`lines are missing: ${this.#missing()}\n${this.#story(life)}`);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    await life.safe();
    for (const [line, count] of this.#came) {
      if (count > 1) assert.ok(this.#maybeAgain.has(line), `${line} came ${count} times\n${this.#story(life)}`);
    }
  }

  /** What it logged in all lives, and what there is at the end. */
  #story(life: TailLife): string {
    const list = spawnSync("ls", ["-liR", this.logs], { encoding: "utf8" }).stdout;
    return [...this.#messages, ...life.messages, list].join("\n");
  }

  #missing(): string {
    const lines = Array.from({ length: this.#written }, (_, i) => `this is line number ${i} of the model`);
    return lines.filter((line) => !this.#came.has(line)).join(", ");
  }

  async end(): Promise<void> {
    if (this.#life === undefined) await this.start();
    await this.settle();
    await this.#end(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open();
    await this.#life?.kill();
    rmSync(this.root, { recursive: true, force: true });
  }
}

const RUNS = Number(process.env.TAIL_MODEL_RUNS ?? 8);
/** The same sequences each time; TAIL_MODEL_SEED=$RANDOM with some hundred runs goes deeper. */
const SEED = Number(process.env.TAIL_MODEL_SEED ?? 1);

/** Sequences that once went wrong; they come before the random ones. */
const KNOWN: Readonly<Record<string, readonly Step[][]>> = {
  // Cut while it is opened after a restart, and gone before its entry could be compared with it.
  "file, rename": [["replace", "kill", "start", "copytruncate", "replace", "copytruncate"]],
  "pattern, rename": [["kill", "start", "copytruncate", "replace", "copytruncate"]],
  // Renamed while it is opened after a restart, and held for both names.
  "pattern, copytruncate": [
    ["kill", "start", "rename", "rename", "write", "write"],
    ["kill", "start", "rename", "write", "write"],
  ],
};

for (const [mode, left] of [
  ["file", "copytruncate"],
  ["file", "rename"],
  ["pattern", "copytruncate"],
  ["pattern", "rename"],
  ["link", "copytruncate"],
] as const) {
  test(`whatever happens to a log file, every line comes, and again only what was not safe: ${mode}, no ${left}`, async () => {
    // A file that is copied, cut and renamed in one moment may be read again from the copy: docs/files.md.
    const steps = STEPS.filter((step) => step !== left && !(left === "rename" && step === "move"));
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant<Step>("write") },
      { weight: 6, arbitrary: fc.constantFrom(...steps) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 18 }), async (steps) => {
        await using world = new World(mode);
        await world.start();
        await world.step("write");
        await world.settle();
        for (const each of steps) await world.step(each);
        await world.end();
      }),
      { numRuns: RUNS, seed: SEED, examples: (KNOWN[`${mode}, ${left}`] ?? []).map((steps) => [steps]) },
    );
  });
}
