import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listMatching, parseNumber, readSlowIfAny } from "../files.ts";

const zoneTemperature = gauge("node_thermal_zone_temp", "Zone temperature in Celsius", "zone", "type");
const currentState = gauge(
  "node_cooling_device_cur_state",
  "Current throttle state of the cooling device",
  "name",
  "type",
);
const maximumState = gauge(
  "node_cooling_device_max_state",
  "Maximum throttle state of the cooling device",
  "name",
  "type",
);

export const thermalZone: CollectorDefinition = {
  name: "thermal_zone",
  enabledByDefault: true,
  create({ files }) {
    return {
      async collect(page) {
        const root = files.sys("class/thermal");
        for (const zone of listMatching(root, /^thermal_zone[0-9]/)) {
          const type = await readSlowIfAny(`${root}/${zone}/type`);
          const temperature = await readSlowIfAny(`${root}/${zone}/temp`);
          // A zone that is switched off has no temperature; zero degrees would be a lie.
          if (type === undefined || temperature === undefined || temperature === "") continue;
          page.add(zoneTemperature, parseNumber(temperature) / 1000, zone.slice("thermal_zone".length), type);
        }
        for (const device of listMatching(root, /^cooling_device[0-9]/)) {
          const [type, maximum, current] = await Promise.all(
            ["type", "max_state", "cur_state"].map((file) => readSlowIfAny(`${root}/${device}/${file}`)),
          );
          if (type === undefined || !maximum || !current) continue;
          const name = device.slice("cooling_device".length);
          page.add(currentState, parseNumber(current), name, type);
          page.add(maximumState, parseNumber(maximum), name, type);
        }
      },
    };
  },
};
