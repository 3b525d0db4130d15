/** What the page asks the agent for. */

/**
 * @typedef {{ state: string, cause: string, since: string, received: { items: number, bytes: number },
 *   sent: { to: string, items: number, bytes: number }[], dropped: { signal: string, reason: string, items: number }[] }} Flow
 * @typedef {{ name: string, localID: string, moduleID: string, health: { state: string, message: string }, flow?: Flow }} Component
 * @typedef {{ kept: number, received: number, forgotten?: number, refused?: number }} Kept
 * @typedef {{ now: number, retention_ms: number, memory: { used: number, limit: number }, problem: string,
 *   urls: Record<string, string>, logs: Kept, series: Kept, traces: Kept }} Status
 * @typedef {{ id: number, time: number, labels: string[], metadata: string[], line: string }} LogLine
 * @typedef {{ name: string, type: string, labels: string[], points: [number, number | string][] }} Series
 * @typedef {{ id: string, name: string, services: string[], start: number, durationMs: number, spans: number, errors: number }} Trace
 * @typedef {{ id: string, parent: string, name: string, service: string, kind: string, start: number, durationMs: number,
 *   failed: boolean, message: string, attributes: string[] }} Span
 */

/**
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
async function getJson(url, signal) {
  const response = await fetch(url, signal === undefined ? {} : { signal });
  if (!response.ok) throw new Error(`${response.status} ${(await response.text()).trim()}`);
  return response.json();
}

/**
 * All components of the agent.
 * @param {AbortSignal} signal
 * @returns {Promise<Component[]>}
 */
export function listComponents(signal) {
  return getJson("api/v0/web/components", signal);
}

/** The first viewer in the configuration, asked over its own HTTP paths. */
export class Viewer {
  /** @param {Component} component */
  constructor({ localID, moduleID }) {
    this.id = moduleID ? `${moduleID}/${localID}` : localID;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Status>}
   */
  status(signal) {
    return getJson(this.#url("status"), signal);
  }

  /**
   * `what` is `logs`, `series` or `traces`.
   * @param {string} what
   * @param {string} filter
   * @param {number} limit
   * @param {AbortSignal} signal
   */
  find(what, filter, limit, signal) {
    return getJson(`${this.#url(what)}?${new URLSearchParams({ filter, limit: String(limit) })}`, signal);
  }

  /**
   * @param {string} id
   * @returns {Promise<{ spans: Span[] }>}
   */
  trace(id) {
    return getJson(this.#url(`traces/${id}`));
  }

  /** @param {string} path */
  #url(path) {
    return `/api/v0/component/${this.id}/${path}`;
  }
}
