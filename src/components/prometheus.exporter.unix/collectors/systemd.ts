import { compileRegex } from "#base/regex";
import { counter, gauge, type Metric, type Page } from "#kits/exporter/page";
import type { CollectorDefinition, CollectorOptions } from "../collector.ts";
import { DbusConnection, systemBusPath } from "../dbus.ts";
import type { DbusValue } from "../dbus-message.ts";

const unitState = gauge("node_systemd_unit_state", "Systemd unit", "name", "state", "type");
const startTime = gauge(
  "node_systemd_unit_start_time_seconds",
  "Start time of the unit since unix epoch in seconds.",
  "name",
);
const tasksCurrent = gauge("node_systemd_unit_tasks_current", "Current number of tasks per Systemd unit", "name");
const tasksMax = gauge("node_systemd_unit_tasks_max", "Maximum number of tasks per Systemd unit", "name");
const systemRunning = gauge(
  "node_systemd_system_running",
  "Whether the system is operational (see 'systemctl is-system-running')",
);
const units = gauge("node_systemd_units", "Summary of systemd unit states", "state");
const restarts = counter("node_systemd_service_restart_total", "Service unit count of Restart triggers", "name");
const lastTrigger = gauge("node_systemd_timer_last_trigger_seconds", "Seconds since epoch of last trigger.", "name");
const version = gauge("node_systemd_version", "Detected systemd version", "version");
/** Properties of sockets. Refused ones are declared a gauge, as in node_exporter. */
const SOCKET: readonly (readonly [property: string, metric: Metric])[] = [
  [
    "NAccepted",
    counter("node_systemd_socket_accepted_connections_total", "Total number of accepted socket connections", "name"),
  ],
  ["NConnections", gauge("node_systemd_socket_current_connections", "Current number of socket connections", "name")],
  [
    "NRefused",
    gauge("node_systemd_socket_refused_connections_total", "Total number of refused socket connections", "name"),
  ],
];

const STATES = ["active", "activating", "deactivating", "inactive", "failed"];
const SERVICE = "org.freedesktop.systemd1";
const MANAGER_PATH = "/org/freedesktop/systemd1";
const MANAGER = "org.freedesktop.systemd1.Manager";
/** systemd's way of saying that there is no limit, as the double that it becomes. */
const UNLIMITED = 2 ** 64;
const MICROSECONDS = 1e6;

/** Calls under way at a time; a bus refuses more than 128 of one connection. */
const MAX_CALLS = 32;

interface Unit {
  readonly name: string;
  readonly state: string;
  readonly path: string;
}

export const systemd: CollectorDefinition = {
  name: "systemd",
  enabledByDefault: false,
  create: (options) => createSystemd(options, systemBusPath()),
};

/** Asks systemd over the message bus whose socket is at `busPath`. */
export function createSystemd({ args, log }: CollectorOptions, busPath: string) {
  const include = compileRegex(`^(?:${args.systemd.unit_include.source})$`);
  const exclude = compileRegex(`^(?:${args.systemd.unit_exclude.source})$`);

  async function collectUnit(page: Page, bus: DbusConnection, { name, state, path }: Unit): Promise<void> {
    const kind = name.slice(name.lastIndexOf(".") + 1);
    const read = async (iface: string, property: string): Promise<DbusValue | undefined> => {
      try {
        return await bus.property(SERVICE, path, `${SERVICE}.${iface}`, property);
      } catch (error) {
        // Units come and go, and old versions lack some properties.
        log.debug("could not read a property", { unit: name, property, error });
        return undefined;
      }
    };
    const add = async (metric: Metric, iface: string, property: string, divisor = 1) => {
      const value = await read(iface, property);
      if (value !== undefined && Number(value) < UNLIMITED) page.add(metric, Number(value) / divisor, name);
    };

    const hasType = kind === "service" || kind === "mount";
    const type = hasType ? String((await read(kind === "service" ? "Service" : "Mount", "Type")) ?? "") : "";
    for (const each of STATES) page.add(unitState, each === state ? 1 : 0, name, each, type);
    if (args.systemd.start_time) {
      if (state === "active") await add(startTime, "Unit", "ActiveEnterTimestamp", MICROSECONDS);
      else page.add(startTime, 0, name);
    }
    if (kind === "service" && args.systemd.enable_restarts) await add(restarts, "Service", "NRestarts");
    if (kind === "service" && args.systemd.task_metrics) {
      await add(tasksCurrent, "Service", "TasksCurrent");
      await add(tasksMax, "Service", "TasksMax");
    }
    if (kind === "timer") await add(lastTrigger, "Timer", "LastTriggerUSec", MICROSECONDS);
    if (kind === "socket") for (const [property, metric] of SOCKET) await add(metric, "Socket", property);
  }

  return {
    async collect(page: Page): Promise<void> {
      using bus = await DbusConnection.open(busPath);
      const manager = (name: string) => bus.property(SERVICE, MANAGER_PATH, MANAGER, name);
      const [release, state, list] = await Promise.all([
        manager("Version"),
        manager("SystemState"),
        bus.call(SERVICE, MANAGER_PATH, MANAGER, "ListUnits"),
      ]);
      page.add(version, Number(/\d{3,}(\.\d+)?/.exec(String(release))?.[0] ?? 0), String(release));
      page.add(systemRunning, state === "running" ? 1 : 0);

      const counts = new Map<string, number>(STATES.map((each) => [each, 0]));
      const chosen: Unit[] = [];
      for (const row of list[0] as readonly (readonly string[])[]) {
        const [name, , loadState, activeState, , , path] = row as [
          string,
          string,
          string,
          string,
          string,
          string,
          string,
        ];
        counts.set(activeState, (counts.get(activeState) ?? 0) + 1);
        if (loadState === "loaded" && include.test(name) && !exclude.test(name)) {
          chosen.push({ name, state: activeState, path });
        }
      }
      for (const [each, count] of counts) page.add(units, count, each);
      const work = async () => {
        for (let unit = chosen.pop(); unit !== undefined; unit = chosen.pop()) await collectUnit(page, bus, unit);
      };
      await Promise.all(Array.from({ length: MAX_CALLS }, work));
    },
  };
}
