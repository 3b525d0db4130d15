import { gauge } from "#kits/exporter/page";
import type { Collector, CollectorDefinition } from "../collector.ts";
import { DbusConnection, systemBusPath } from "../dbus.ts";

const sessions = gauge(
  "node_logind_sessions",
  "Number of sessions registered in logind.",
  ...["seat", "remote", "type", "class"],
);

const SERVICE = "org.freedesktop.login1";
const PATH = "/org/freedesktop/login1";

const REMOTES = ["true", "false"];
/** What logind knew in its version 229; later kinds count as `other`. */
const TYPES = ["other", "unspecified", "tty", "x11", "wayland", "mir", "web"];
const CLASSES = ["other", "user", "greeter", "lock-screen", "background"];

export const logind: CollectorDefinition = {
  name: "logind",
  enabledByDefault: false,
  create: () => createLogind(systemBusPath()),
};

export function createLogind(busPath: string): Collector {
  return {
    async collect(page) {
      using bus = await DbusConnection.open(busPath);
      const [seatList] = await bus.call(SERVICE, PATH, `${SERVICE}.Manager`, "ListSeats");
      const [sessionList] = await bus.call(SERVICE, PATH, `${SERVICE}.Manager`, "ListSessions");
      // Sessions from elsewhere, such as those of SSH, have no seat.
      const seats = [...(seatList as [string, string][]).map(([seat]) => seat), ""];
      const counts = new Map<string, number>();
      for (const [, , , seat, path] of sessionList as [string, number, string, string, string][]) {
        const key = await describe(bus, seat, path);
        if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      for (const remote of REMOTES) {
        for (const type of TYPES) {
          for (const kind of CLASSES) {
            for (const seat of seats) {
              page.add(sessions, counts.get(keyOf(seat, remote, type, kind)) ?? 0, seat, remote, type, kind);
            }
          }
        }
      }
    },
  };
}

function keyOf(...parts: readonly string[]): string {
  return parts.join("\n");
}

/** The labels of a session as one text; undefined for one that ended meanwhile. */
async function describe(bus: DbusConnection, seat: string, path: string): Promise<string | undefined> {
  const get = (name: string) => bus.property(SERVICE, path, `${SERVICE}.Session`, name);
  try {
    const [remote, type, kind] = await Promise.all([get("Remote"), get("Type"), get("Class")]);
    const known = (value: unknown, all: readonly string[]) => (all.includes(String(value)) ? String(value) : "other");
    return keyOf(seat, String(remote), known(type, TYPES), known(kind, CLASSES));
  } catch {
    return undefined;
  }
}
