import { readFileSync } from "node:fs";
import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listMatching, readTrimmed, words } from "../files.ts";

const seconds = gauge("node_time_seconds", "System time in seconds since epoch (1970).");
const zoneOffset = gauge("node_time_zone_offset_seconds", "System time zone offset in seconds.", "time_zone");
const available = gauge(
  "node_time_clocksource_available_info",
  "Available clocksources read from '/sys/devices/system/clocksource'.",
  "device",
  "clocksource",
);
const current = gauge(
  "node_time_clocksource_current_info",
  "Current clocksource read from '/sys/devices/system/clocksource'.",
  "device",
  "clocksource",
);

export const time: CollectorDefinition = {
  name: "time",
  enabledByDefault: true,
  create({ files, clock }) {
    const rule = readZoneRule();
    return {
      collect(page) {
        const now = clock.now();
        const offset = -new Date(now).getTimezoneOffset() * 60;
        page.add(seconds, now / 1000);
        page.add(zoneOffset, offset, zoneName(rule, offset));
        const root = files.sys("devices/system/clocksource");
        for (const [i, source] of listMatching(root, /^clocksource[0-9]/).entries()) {
          for (const name of words(readTrimmed(`${root}/${source}/available_clocksource`))) {
            page.add(available, 1, String(i), name);
          }
          page.add(current, 1, String(i), readTrimmed(`${root}/${source}/current_clocksource`));
        }
      },
    };
  },
};

/** The rule in the last line of the zone's file, such as `CET-1CEST,M3.5.0,M10.5.0/3`; empty when there is none. */
function readZoneRule(): string {
  const zone = process.env.TZ?.replace(/^:/, "");
  if (zone === "") return "UTC0";
  const path = zone === undefined ? "/etc/localtime" : zone.startsWith("/") ? zone : `/usr/share/zoneinfo/${zone}`;
  try {
    return readFileSync(path, "latin1").trimEnd().split("\n").at(-1) ?? "";
  } catch {
    return "";
  }
}

const RULE = /^(<[^>]+>|[A-Za-z]{3,})([+-]?)(\d+)(?::(\d+))?(?::(\d+))?(<[^>]+>|[A-Za-z]{3,})?/;

/** The abbreviation (`CET`, `CEST`) that is in force when the zone is `offset` seconds east of UTC. */
export function zoneName(rule: string, offset: number): string {
  const match = RULE.exec(rule);
  if (match === null) return offset === 0 ? "UTC" : "";
  const [, standard = "", sign, hours, minutes = "0", rest = "0", summer] = match;
  // POSIX counts west of Greenwich as positive.
  const west = Number(hours) * 3600 + Number(minutes) * 60 + Number(rest);
  const isStandard = offset === (sign === "-" ? west : -west);
  return (isStandard || summer === undefined ? standard : summer).replace(/[<>]/g, "");
}
