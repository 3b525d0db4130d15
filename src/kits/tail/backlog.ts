/** Points beyond this are thinned out: a file that is long behind needs no date to the second. */
const MAX_POINTS = 64;

/**
 * How old the oldest unread bytes of a file are. Nothing in a file says when it was written, so the file's size is noted
 * from time to time while there is something to read: bytes below a size that was seen were there by then.
 */
export class Backlog {
  #points: { readonly time: number; readonly size: number }[] = [];
  bytes = 0;
  /** The size that was seen last. */
  size = 0;

  /** Takes note that the file is read up to `offset` of `size` bytes. */
  observe(now: number, offset: number, size: number): void {
    this.bytes = Math.max(0, size - offset);
    this.size = size;
    if (this.bytes === 0) {
      this.#points = [];
      return;
    }
    const last = this.#points.at(-1);
    if (last !== undefined && size < last.size) this.#points = []; // cut, and begun anew
    if (last === undefined || size !== last.size) this.#points.push({ time: now, size });
    const first = this.#points.findIndex((each) => each.size > offset);
    if (first > 0) this.#points.splice(0, first);
    if (this.#points.length > MAX_POINTS) this.#points = this.#points.filter((_, i) => i % 2 === 0);
  }

  /** The file was begun anew. */
  forget(): void {
    this.#points = [];
    this.bytes = this.size = 0;
  }

  /** When the oldest unread bytes were there at the latest (epoch ms). */
  get oldest(): number | undefined {
    return this.#points[0]?.time;
  }
}
