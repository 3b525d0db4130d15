import { type LookupAddress, lookup } from "node:dns";
import type { LookupFunction } from "node:net";

/** Asks for all addresses of a host. */
export type Resolve = (
  host: string,
  options: { readonly all: true; readonly family: number },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * A look-up for connections that gives one of the host's addresses, chosen at random each time, as Prometheus does for
 * `round_robin_dns` (storage/remote/dial_context.go).
 */
export function roundRobinLookup(resolve: Resolve = lookup, random: () => number = Math.random): LookupFunction {
  return (host, options, done) => {
    const family = options.family === "IPv4" ? 4 : options.family === "IPv6" ? 6 : (options.family ?? 0);
    resolve(host, { all: true, family }, (error, addresses) => {
      const chosen = addresses?.[Math.floor(random() * addresses.length)];
      if (error !== null || chosen === undefined) {
        done(error ?? Object.assign(new Error(`${host} has no address`), { code: "ENOTFOUND" }), "", 0);
      } else if (options.all === true) done(null, [chosen]);
      else done(null, chosen.address, chosen.family);
    });
  };
}
