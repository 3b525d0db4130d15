import type { ComponentChildren } from "preact";
import { useSyncExternalStore } from "./hooks.ts";

/**
 * The view is in the address: `component/ID`, `graph?module=ID`. Paths are relative to the page's base, which is the
 * prefix that the agent is served under (`--server.http.ui-path-prefix`).
 */
export interface Place {
  /** Without the base and without a leading slash; decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
}

const base = new URL(document.baseURI).pathname;
const listeners = new Set<() => void>();
let place = read();

function read(): Place {
  const { pathname, search } = window.location;
  const path = pathname.startsWith(base) ? pathname.slice(base.length) : "";
  return { path: path.split("/").map(decode).join("/"), query: new URLSearchParams(search) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function changed(): void {
  place = read();
  for (const listener of listeners) listener();
}
window.addEventListener("popstate", changed);

/** The address of a place, for links. Empty values of `query` are left out. */
export function addressOf(path: string, query: Readonly<Record<string, string>> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  const search = given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
  return base + path.split("/").map(encodeURIComponent).join("/") + search;
}

/** Goes to a place. `replace` leaves no step in the history, for filters that change with every key. */
export function go(
  path: string,
  query: Readonly<Record<string, string>> = {},
  options: { replace?: boolean } = {},
): void {
  const address = addressOf(path, query);
  if (options.replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  changed();
}

/** Changes parts of the query of the present place; empty values remove them. */
export function setQuery(
  changes: Readonly<Record<string, string>>,
  options: { replace?: boolean } = { replace: true },
): void {
  go(place.path, { ...Object.fromEntries(place.query), ...changes }, options);
}

export function usePlace(): Place {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => place,
  );
}

interface LinkProps {
  readonly to: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly class?: string;
  readonly title?: string;
  readonly "aria-current"?: "page" | undefined;
  readonly "aria-label"?: string;
  readonly children?: ComponentChildren;
}

/** A link within the page: an ordinary one for new tabs and copies, without a new load otherwise. */
export function Link({ to, query, children, ...rest }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to, query);
  };
  return (
    <a href={addressOf(to, query)} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
