import type { Point } from "./layout.ts";

/** What part of the graph is seen, and how large: the point in the middle, in the graph's own measure. */
interface Position extends Point {
  readonly zoom: number;
}

/** What was chosen to be seen. `fit`: all of it; `first`: nothing was chosen, and all is shown if it can be read then. */
export type View = Position | "fit" | "first";

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

const MOST_ZOOM = 2.5;
const MOST_FIT_ZOOM = 1.15;
const LEAST_ZOOM = 0.04;
/** Boxes whose texts cannot be read are drawn without them. */
const FAR_ZOOM = 0.4;
/** A graph that would be smaller than this is not shown as a whole at first. */
const READABLE_ZOOM = 0.55;
const FIRST_ZOOM = 0.75;
const MARGIN = 16;
/** What lies at the bottom of the drawing. */
const BUTTONS_HEIGHT = 44;
/** A pointer that moves less than this between down and up has clicked. */
const CLICK_PIXELS = 4;
const SETTLE_MS = 250;
const TWEEN_MS = 180;

/**
 * Moves and scales the drawing, by pointer, touch, wheel and for its owner. It changes one attribute of one element and
 * draws nothing anew, so that large graphs move as smoothly as small ones.
 */
export class Viewport {
  readonly #svg: SVGSVGElement;
  readonly #world: SVGGElement;
  readonly #onSettle: (view: View) => void;
  #zoom = 1;
  #left = 0;
  #top = 0;
  /** Where all boxes are. */
  #bounds: Box = { x: 0, y: 0, width: 1, height: 1 };
  /** What the first view is to have in its middle. */
  #centre: Box | undefined;
  /** What is chosen by name stays so when the window or the graph changes. */
  #chosen: "fit" | "first" | undefined;
  /** Parts of the drawing that something else lies on, in pixels. */
  #covered = { right: 0, bottom: 0 };
  readonly #listeners = new Set<() => void>();
  readonly #pointers = new Map<number, Point>();
  #dragged = false;
  #frame = 0;
  #tween = 0;
  #settle: ReturnType<typeof setTimeout> | undefined;
  readonly #close = new AbortController();

  /** `onSettle` hears of a new view once it has stopped changing. */
  constructor(svg: SVGSVGElement, world: SVGGElement, onSettle: (view: View) => void) {
    this.#svg = svg;
    this.#world = world;
    this.#onSettle = onSettle;
    const { signal } = this.#close;
    svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false, signal });
    svg.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    svg.addEventListener("pointermove", (event) => this.#move(event), { signal });
    for (const type of ["pointerup", "pointercancel"] as const)
      svg.addEventListener(type, (event) => this.#pointers.delete(event.pointerId), { signal });
    svg.addEventListener("dragstart", (event) => event.preventDefault(), { signal });
    // The click that ends a drag is none; those of the keyboard have no detail.
    const swallow = (event: MouseEvent) => {
      if (!this.#dragged || event.detail === 0) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    svg.addEventListener("click", swallow, { capture: true, signal });
    const observer = new ResizeObserver(() => this.#chooseAgain());
    observer.observe(svg);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  close(): void {
    this.#close.abort();
    clearTimeout(this.#settle);
    cancelAnimationFrame(this.#frame);
    cancelAnimationFrame(this.#tween);
  }

  /** Whether texts are too small to be read. */
  get isFar(): boolean {
    return this.#zoom < FAR_ZOOM;
  }
  /** The part of the graph that is seen. */
  get window(): Box {
    const { width, height } = this.#size;
    const zoom = this.#zoom;
    return { x: -this.#left / zoom, y: -this.#top / zoom, width: width / zoom, height: height / zoom };
  }
  get #position(): Position {
    const { x, y, width, height } = this.window;
    return { zoom: this.#zoom, x: x + width / 2, y: y + height / 2 };
  }
  get #size(): { readonly width: number; readonly height: number } {
    return { width: this.#svg.clientWidth || 1, height: this.#svg.clientHeight || 1 };
  }

  /** Tells of the graph's bounds, and of the box that a first view has in its middle if not all can be shown. */
  extend(bounds: Box, centre: Box | undefined): void {
    this.#bounds = bounds;
    this.#centre = centre;
    this.#chooseAgain();
  }
  show(view: View, smooth = false): void {
    if (typeof view !== "string") this.#go(view, smooth);
    else {
      this.#go(view === "fit" ? this.#fitted : this.#first, smooth);
      this.#chosen = view;
    }
    if (!smooth) this.#draw();
  }
  /** Calls `listener` with each frame in which the view changes, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  /** Tells what of the drawing something else lies on, in pixels. */
  cover(right: number, bottom: number): void {
    this.#covered = { right, bottom };
  }
  /** Moves no further than needed for all of `box` to be seen. */
  reveal(box: Box, smooth: boolean): void {
    const seen = this.window;
    const { zoom, x, y } = this.#position;
    const margin = MARGIN / zoom;
    const dx = shift(box.x, box.width, seen.x, seen.width - this.#covered.right / zoom, margin);
    const dy = shift(box.y, box.height, seen.y, seen.height - this.#covered.bottom / zoom, margin);
    if (dx !== 0 || dy !== 0) this.#go({ zoom, x: x + dx, y: y + dy }, smooth);
  }
  /** Brings a box into view so that it can be read. */
  visit(box: Box): void {
    if (!this.isFar) {
      this.reveal(box, true);
      return;
    }
    const { right, bottom } = this.#covered;
    const x = box.x + box.width / 2 + right / 2 / FIRST_ZOOM;
    const y = box.y + box.height / 2 + bottom / 2 / FIRST_ZOOM;
    this.#go({ zoom: FIRST_ZOOM, x, y }, true);
  }
  centre({ x, y }: Point): void {
    this.#go({ zoom: this.#zoom, x, y }, false);
  }
  panBy(dx: number, dy: number): void {
    this.#set(this.#zoom, this.#left + dx, this.#top + dy);
  }
  /** Zooms around a point of the drawing, by default its middle. */
  zoomBy(factor: number, at?: Point): void {
    const { width, height } = this.#size;
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    const zoom = clamp(this.#zoom * factor, LEAST_ZOOM, MOST_ZOOM);
    const grown = zoom / this.#zoom;
    this.#set(zoom, x - (x - this.#left) * grown, y - (y - this.#top) * grown);
  }

  get #fitted(): Position {
    const { width, height } = this.#size;
    const { x, y, width: wide, height: high } = this.#bounds;
    const free = height - BUTTONS_HEIGHT;
    const zoom = clamp(Math.min((width - 2 * MARGIN) / wide, (free - 2 * MARGIN) / high), LEAST_ZOOM, MOST_FIT_ZOOM);
    return { zoom, x: x + wide / 2, y: y + high / 2 + BUTTONS_HEIGHT / 2 / zoom };
  }
  get #first(): Position {
    const fitted = this.#fitted;
    if (fitted.zoom >= READABLE_ZOOM) return fitted;
    const centre = this.#centre;
    if (centre !== undefined)
      return { zoom: FIRST_ZOOM, x: centre.x + centre.width / 2, y: centre.y + centre.height / 2 };
    const { width, height } = this.#size;
    const { x, y, width: wide } = this.#bounds;
    // Its whole width if that can be read, and in any case its beginning.
    const zoom = clamp((width - 2 * MARGIN) / wide, FIRST_ZOOM, 1);
    const middle = Math.min(wide / 2, (width / 2 - MARGIN) / zoom);
    return { zoom, x: x + middle, y: y + (height / 2 - MARGIN) / zoom };
  }

  #chooseAgain(): void {
    if (this.#chosen !== undefined) this.show(this.#chosen);
  }

  #go(to: Position, smooth: boolean): void {
    const { width, height } = this.#size;
    const zoom = clamp(to.zoom, LEAST_ZOOM, MOST_ZOOM);
    const left = width / 2 - to.x * zoom;
    const top = height / 2 - to.y * zoom;
    if (!smooth || window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#set(zoom, left, top);
      return;
    }
    const from = { zoom: this.#zoom, left: this.#left, top: this.#top };
    const began = performance.now();
    const step = (now: number) => {
      const t = clamp((now - began) / TWEEN_MS, 0, 1);
      const share = t * (2 - t);
      const between = (a: number, b: number) => a + (b - a) * share;
      const chosen = this.#chosen;
      this.#set(between(from.zoom, zoom), between(from.left, left), between(from.top, top));
      this.#chosen = chosen;
      if (t < 1) this.#tween = requestAnimationFrame(step);
    };
    this.#set(this.#zoom, this.#left, this.#top);
    this.#tween = requestAnimationFrame(step);
  }

  #set(zoom: number, left: number, top: number): void {
    cancelAnimationFrame(this.#tween);
    this.#chosen = undefined;
    this.#zoom = zoom;
    this.#left = left;
    this.#top = top;
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => {
      delete this.#svg.dataset.moving;
      this.#onSettle(this.#chosen ?? this.#position);
    }, SETTLE_MS);
  }

  #draw(): void {
    const { dataset } = this.#svg;
    const detail = this.isFar ? "far" : "near";
    if (dataset.detail !== detail) dataset.detail = detail;
    if (dataset.moving === undefined) dataset.moving = "";
    this.#world.setAttribute("transform", `matrix(${this.#zoom} 0 0 ${this.#zoom} ${this.#left} ${this.#top})`);
    for (const listener of this.#listeners) listener();
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    // Pinches on touch pads come as wheels with the control key, in smaller steps.
    const speed = event.ctrlKey ? 0.01 : 0.0016;
    this.zoomBy(Math.exp(-event.deltaY * lines * speed), this.#pointOf(event));
  }
  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    if (this.#pointers.size === 0) this.#dragged = false;
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }
  #move(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    const after = { x: event.clientX, y: event.clientY };
    if (!this.#dragged) {
      if (Math.hypot(after.x - before.x, after.y - before.y) < CLICK_PIXELS) return;
      this.#dragged = true;
    }
    // Only now, since captured pointers do not click what is below them.
    for (const id of this.#pointers.keys()) if (!this.#svg.hasPointerCapture(id)) this.#svg.setPointerCapture(id);
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    this.#pointers.set(event.pointerId, after);
    const other = others[0]?.[1];
    if (other === undefined) {
      this.panBy(after.x - before.x, after.y - before.y);
      return;
    }
    const apart = Math.hypot(after.x - other.x, after.y - other.y) / Math.hypot(before.x - other.x, before.y - other.y);
    const middle = { x: (after.x + other.x) / 2, y: (after.y + other.y) / 2 };
    this.panBy((after.x - before.x) / 2, (after.y - before.y) / 2);
    if (Number.isFinite(apart)) this.zoomBy(apart, this.#pointOf({ clientX: middle.x, clientY: middle.y }));
  }
  #pointOf({ clientX, clientY }: { readonly clientX: number; readonly clientY: number }): Point {
    const { left, top } = this.#svg.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** How far a window must move for a stretch to be in it; its beginning matters most. */
function shift(start: number, length: number, windowStart: number, windowLength: number, margin: number): number {
  const before = start - margin - windowStart;
  const behind = start + length + margin - windowStart - windowLength;
  return before < 0 ? before : Math.max(0, Math.min(before, behind));
}
