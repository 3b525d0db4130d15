import { roughByteSize } from "#base/bytesize";
import { roughDuration } from "#base/duration";
import type { Judgement } from "#pipeline/flow";

/** What is unread for longer than this, and does not become less, is a backlog. */
const BEHIND_AFTER_MS = 20_000;

interface Lagging {
  readonly target: { readonly path: string };
  readonly lagBytes: number;
  readonly oldestUnread?: number | undefined;
}

/** Watches how much the files hold that has not been read. */
export class LagWatch {
  /** Unread bytes over that time. */
  #history: { readonly time: number; readonly bytes: number }[] = [];
  #files = 0;
  #worst = "";
  #age = 0;

  take(files: readonly Lagging[], now: number): void {
    let bytes = 0;
    let oldest = now;
    this.#files = 0;
    this.#worst = "";
    for (const { target, lagBytes, oldestUnread } of files) {
      if (lagBytes === 0) continue;
      bytes += lagBytes;
      this.#files += 1;
      if (oldestUnread === undefined || oldestUnread > oldest) continue;
      oldest = oldestUnread;
      this.#worst = target.path;
    }
    this.#age = now - oldest;
    this.#history.push({ time: now, bytes });
    const begin = this.#history.findLastIndex((each) => now - each.time >= BEHIND_AFTER_MS);
    if (begin > 0) this.#history.splice(0, begin);
  }

  /** How long the oldest unread bytes have been there, in milliseconds. */
  get oldestMs(): number {
    return this.#age;
  }

  /** `blocked` says who does not take what was read, if it is known. Catching up after a start is no fault. */
  judge(blocked: string): Judgement {
    const before = this.#history[0]!;
    const now = this.#history.at(-1)!;
    if (now.bytes === 0 || this.#age < BEHIND_AFTER_MS) return undefined;
    if (now.time - before.time < BEHIND_AFTER_MS || now.bytes < before.bytes) return undefined;
    const growth = ((now.bytes - before.bytes) / (now.time - before.time)) * 1_000;
    const pace = growth >= 1 ? `, ${roughByteSize(Math.round(growth))} more each second` : "";
    const files = this.#files === 1 ? this.#worst : `${this.#files} files`;
    const which = this.#files === 1 ? "" : ` (${this.#worst})`;
    const why = blocked === "" ? "lines come faster than what follows takes them" : blocked;
    const cause =
      `${roughByteSize(now.bytes)} of ${files} are not read yet${pace}, the oldest for ${roughDuration(this.#age)}${which}: ` +
      `${why}. Nothing is lost while the files stay; cutting or deleting them loses what is unread`;
    return { state: "degraded", cause };
  }
}
