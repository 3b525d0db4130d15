import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { openLibc, wallClock } from "../libc.ts";
import { askTime, type NtpAnswer } from "../sntp.ts";

const value = (name: string, help: string) => gauge(`node_ntp_${name}`, help);

/** What of an answer is reported. */
const METRICS: readonly (readonly [metric: ReturnType<typeof value>, key: keyof NtpAnswer])[] = [
  [value("stratum", "NTPD stratum."), "stratum"],
  [value("leap", "NTPD leap second indicator, 2 bits."), "leap"],
  [value("rtt_seconds", "RTT to NTPD."), "roundTrip"],
  [value("offset_seconds", "ClockOffset between NTP and local clock."), "offset"],
  [value("reference_timestamp_seconds", "NTPD ReferenceTime, UNIX timestamp."), "referenceTime"],
  [value("root_delay_seconds", "NTPD RootDelay."), "rootDelay"],
  [value("root_dispersion_seconds", "NTPD RootDispersion."), "rootDispersion"],
];
const sanity = value("sanity", "NTPD sanity according to RFC5905 heuristics and configured limits.");

const PORT = 123;
const TIMEOUT_MS = 1000;
const DAY_SECONDS = 86_400;
/** Servers of this stratum and higher ones are not synchronized. */
const MAX_STRATUM = 16;
/** Longest time since the server set its clock. */
const MAX_AGE_SECONDS = 2 ** 17;
const MAX_DISPERSION_SECONDS = 16;
const NOT_SYNCHRONIZED = 3;

export const ntp: CollectorDefinition = {
  name: "ntp",
  enabledByDefault: false,
  create({ args, clock }) {
    const libc = openLibc();
    const { protocol_version, ip_ttl, max_distance, local_offset_tolerance } = args.ntp;
    const where = splitHostPort(args.ntp.server);
    /** The midnight at which a leap second comes or came; the server forgets it right then. */
    let leapMidnight = Number.NEGATIVE_INFINITY;
    return {
      async collect(page) {
        const answer = await askTime({
          ...where,
          version: protocol_version,
          ttl: ip_ttl,
          timeoutMs: TIMEOUT_MS,
          now: () => wallClock(libc, () => clock.now()),
        });
        for (const [metric, key] of METRICS) page.add(metric, answer[key]);
        if (answer.leap === 1 || answer.leap === 2) {
          leapMidnight = (Math.floor(answer.time / DAY_SECONDS) + 1) * DAY_SECONDS;
        }
        // Servers may spread the leap second over the day before or after.
        const isSmeared = Math.abs(answer.time - leapMidnight) < DAY_SECONDS;
        const tolerance = local_offset_tolerance / 1000 + (isSmeared ? 1 : 0);
        const isSane = isValid(answer) && answer.rootDistance <= max_distance / 1000 && answer.minError <= tolerance;
        page.add(sanity, isSane ? 1 : 0);
      },
    };
  },
};

/** Matches beevik/ntp's `Response.Validate`. */
function isValid({ stratum, leap, time, referenceTime, rootDelay, rootDispersion }: NtpAnswer): boolean {
  return (
    stratum > 0 &&
    stratum < MAX_STRATUM &&
    time >= referenceTime &&
    time - referenceTime <= MAX_AGE_SECONDS &&
    rootDelay / 2 + rootDispersion <= MAX_DISPERSION_SECONDS &&
    leap !== NOT_SYNCHRONIZED
  );
}

/** `host`, `host:port`, `[address]:port`, or an address of IPv6 as it is. */
function splitHostPort(server: string): { host: string; port: number } {
  const bracketed = /^\[(.*)\](?::(\d+))?$/.exec(server);
  const plain = /^([^:]*)(?::(\d+))?$/.exec(server);
  const [, host = server, port] = bracketed ?? plain ?? [];
  return { host, port: port === undefined ? PORT : Number(port) };
}
