import { useEffect, useRef, useState } from "preact/hooks";

/** The value of a store that tells of its changes. */
export function useSyncExternalStore<T>(subscribe: (listener: () => void) => () => void, read: () => T): T {
  const [value, setValue] = useState(read);
  useEffect(() => {
    const update = () => setValue(() => read());
    update(); // it may have changed since the first drawing
    return subscribe(update);
  }, []);
  return value;
}

/** The time now, renewed every `ms`, for ages that are shown. */
export function useNow(ms = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}

/** The value, or the last one there was: what is shown stays until the answer to the next question comes. */
export function useLast<T>(value: T | undefined): T | undefined {
  const last = useRef(value);
  if (value !== undefined) last.current = value;
  return last.current;
}
