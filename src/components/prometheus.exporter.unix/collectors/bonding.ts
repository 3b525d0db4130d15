import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readIfAny, readText, readTrimmed, words } from "../files.ts";
import { readSubject } from "../subject.ts";

const slaves = gauge("node_bonding_slaves", "Number of configured slaves per bonding interface.", "master");
const active = gauge("node_bonding_active", "Number of active slaves per bonding interface.", "master");

export const bonding: CollectorDefinition = {
  name: "bonding",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("class/net");
        for (const master of words(readSubject(`${root}/bonding_masters`, "no bonding driver"))) {
          let up = 0;
          const members = words(readText(`${root}/${master}/bonding/slaves`));
          for (const member of members) {
            // Kernels before 3.13 link members as slave_*.
            const state =
              readIfAny(`${root}/${master}/lower_${member}/bonding_slave/mii_status`) ??
              readTrimmed(`${root}/${master}/slave_${member}/bonding_slave/mii_status`);
            if (state === "up") up++;
          }
          page.add(slaves, members.length, master);
          page.add(active, up, master);
        }
      },
    };
  },
};
