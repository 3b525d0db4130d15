import { useEffect, useRef, useState } from "preact/hooks";
import { type Layout, layOut, type Structure, structureKey } from "./layout.ts";

/** Layouts by what they were made of, so that polls and the way back from another view take no time. The newest last. */
const layouts = new Map<string, Layout>();
const MOST_LAYOUTS = 12;
/** Work that takes longer goes on after the page had a chance to answer its user. */
const SLICE_MS = 40;

/**
 * The layout of a graph; undefined while the first one for `scope` is being worked out. When the structure changes, the
 * one before stays until the new one is there.
 */
export function useLayout(structure: Structure, aspect: number, scope: string): Layout | undefined {
  const key = structureKey(structure, aspect);
  const [, setDone] = useState("");
  const last = useRef<{ readonly scope: string; readonly layout: Layout } | undefined>(undefined);
  useEffect(() => {
    if (layouts.has(key)) return;
    const steps = layOut(structure, aspect);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const work = () => {
      const until = performance.now() + SLICE_MS;
      let step = steps.next();
      while (!step.done && performance.now() < until) step = steps.next();
      if (step.done) {
        remember(key, step.value);
        setDone(key);
      } else timer = setTimeout(work);
    };
    work();
    return () => clearTimeout(timer);
  }, [key]);
  const known = layouts.get(key);
  if (known !== undefined) last.current = { scope, layout: known };
  return known ?? (last.current?.scope === scope ? last.current.layout : undefined);
}

function remember(key: string, layout: Layout): void {
  layouts.set(key, layout);
  for (const oldest of layouts.keys()) {
    if (layouts.size <= MOST_LAYOUTS) break;
    layouts.delete(oldest);
  }
}
