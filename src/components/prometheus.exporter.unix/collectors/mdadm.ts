import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, words } from "../files.ts";
import { readSubject } from "../subject.ts";

const state = gauge("node_md_state", "Indicates the state of md-device.", "device", "state");
const disks = gauge("node_md_disks", "Number of active/failed/spare disks of device.", "device", "state");
const disksRequired = gauge("node_md_disks_required", "Total number of disks of device.", "device");
const blocks = gauge("node_md_blocks", "Total number of blocks on device.", "device");
const blocksSynced = gauge("node_md_blocks_synced", "Number of blocks synced on device.", "device");

/** Our words for what an array does, and the ones of the label. `reshaping` has no label of its own. */
const STATES = [
  ["active", "active"],
  ["inactive", "inactive"],
  ["recovering", "recovering"],
  ["resyncing", "resync"],
  ["checking", "check"],
] as const;

export interface ArrayStatus {
  readonly name: string;
  readonly activity: string;
  readonly active: number;
  readonly total: number;
  readonly failed: number;
  readonly spare: number;
  readonly blocks: number;
  readonly synced: number;
}

export const mdadm: CollectorDefinition = {
  name: "mdadm",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const array of parseMdstat(readSubject(files.proc("mdstat"), "no md driver"))) {
          const { name } = array;
          page.add(disksRequired, array.total, name);
          page.add(disks, array.active, name, "active");
          page.add(disks, array.failed, name, "failed");
          page.add(disks, array.spare, name, "spare");
          for (const [activity, label] of STATES) page.add(state, array.activity === activity ? 1 : 0, name, label);
          page.add(blocks, array.blocks, name);
          page.add(blocksSynced, array.synced, name);
        }
      },
    };
  },
};

/** /proc/mdstat: two or more lines for each array, the first of which is not indented. */
export function parseMdstat(text: string): ArrayStatus[] {
  const arrays: ArrayStatus[] = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.trim() === "" || /^(\s|Personalities|unused)/.test(line)) continue;
    const fields = words(line);
    if (fields.length < 3) throw new Error(`unexpected line in mdstat: ${line}`);
    const status = parseStatus(line, lines[i + 1] ?? "");
    const sync = (lines[i + 2]?.includes("bitmap") ? lines[i + 3] : lines[i + 2]) ?? "";
    arrays.push({
      name: fields[0]!,
      failed: line.split("(F)").length - 1,
      spare: line.split("(S)").length - 1,
      ...status,
      ...parseSync(sync, fields[2]!, status.blocks),
    });
  }
  return arrays;
}

function parseStatus(device: string, status: string): { active: number; total: number; blocks: number } {
  const size = parseNumber(words(status)[0] ?? "");
  if (/raid0|linear/.test(device)) {
    const total = device.split("[").length - 1;
    return { active: total, total, blocks: size };
  }
  if (device.includes("inactive")) return { active: 0, total: 0, blocks: size };
  const match = /\[(\d+)\/(\d+)\] \[[U_]+\]/.exec(status);
  if (match === null) throw new Error(`unexpected line in mdstat: ${status}`);
  return { active: Number(match[2]), total: Number(match[1]), blocks: size };
}

/** What the array does besides its work, from a line such as `[>....]  recovery = 8.5% (16775552/195310144) …`. */
function parseSync(line: string, activity: string, size: number): { activity: string; synced: number } {
  const kind = /recovery|reshape|check|resync/.exec(line)?.[0];
  if (kind === undefined) return { activity, synced: size };
  const doing = { recovery: "recovering", reshape: "reshaping", check: "checking", resync: "resyncing" }[kind]!;
  if (/PENDING|DELAYED/.test(line)) return { activity: doing, synced: 0 };
  const match = /\((\d+)\/\d+\)/.exec(line);
  if (match === null) throw new Error(`unexpected line in mdstat: ${line}`);
  return { activity: doing, synced: Number(match[1]) };
}
