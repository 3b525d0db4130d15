import { counter, gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { callXmlRpc } from "../xml-rpc.ts";

const labels = ["name", "group"];
const up = gauge("node_supervisord_up", "Process Up", ...labels);
const state = gauge("node_supervisord_state", "Process State", ...labels);
const exitStatus = gauge("node_supervisord_exit_status", "Process Exit Status", ...labels);
const startTime = counter("node_supervisord_start_time_seconds", "Process start time", ...labels);

/** Starting, running, stopping: the states of Supervisor in which there is a process. */
const RUNNING: ReadonlySet<unknown> = new Set([10, 20, 40]);

export const supervisord: CollectorDefinition = {
  name: "supervisord",
  enabledByDefault: false,
  create({ args }) {
    const url = new URL(args.supervisord.url);
    return {
      async collect(page) {
        const all = await callXmlRpc(url, "supervisor.getAllProcessInfo");
        if (!Array.isArray(all)) throw new Error("supervisord does not answer with a list of processes");
        for (const process of all) {
          if (!(process instanceof Map)) throw new Error("supervisord describes a process in an unknown way");
          const number = (name: string) => Number(process.get(name) ?? 0);
          const values = [String(process.get("name") ?? ""), String(process.get("group") ?? "")] as const;
          const isRunning = RUNNING.has(process.get("state"));
          page.add(state, number("state"), ...values);
          page.add(exitStatus, number("exitstatus"), ...values);
          page.add(up, isRunning ? 1 : 0, ...values);
          if (isRunning) page.add(startTime, number("start"), ...values);
        }
      },
    };
  },
};
