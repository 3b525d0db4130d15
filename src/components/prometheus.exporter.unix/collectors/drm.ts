import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listMatching, readIfAny, readNumberIfAny, readText } from "../files.ts";

const info = gauge(
  "node_drm_card_info",
  "Card information",
  ...["card", "memory_vendor", "power_performance_level", "unique_id", "vendor"],
);
const value = (name: string, help: string) => gauge(`node_drm_${name}`, help, "card");

/** Attributes of cards of the driver amdgpu, the only one that has them. */
const ATTRIBUTES = [
  ["gpu_busy_percent", value("gpu_busy_percent", "How busy the GPU is as a percentage.")],
  [
    "mem_info_gtt_total",
    value("memory_gtt_size_bytes", "The size of the graphics translation table (GTT) block in bytes."),
  ],
  [
    "mem_info_gtt_used",
    value("memory_gtt_used_bytes", "The used amount of the graphics translation table (GTT) block in bytes."),
  ],
  ["mem_info_vram_total", value("memory_vram_size_bytes", "The size of VRAM in bytes.")],
  ["mem_info_vram_used", value("memory_vram_used_bytes", "The used amount of VRAM in bytes.")],
  ["mem_info_vis_vram_total", value("memory_vis_vram_size_bytes", "The size of visible VRAM in bytes.")],
  ["mem_info_vis_vram_used", value("memory_vis_vram_used_bytes", "The used amount of visible VRAM in bytes.")],
] as const;
const TEXTS = ["mem_info_vram_vendor", "power_dpm_force_performance_level", "unique_id"];

export const drm: CollectorDefinition = {
  name: "drm",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("class/drm");
        for (const card of listMatching(root, /^card[0-9]$/)) {
          const device = `${root}/${card}/device`;
          if (!readText(`${device}/uevent`).includes("DRIVER=amdgpu")) continue;
          page.add(info, 1, card, ...TEXTS.map((name) => readIfAny(`${device}/${name}`) ?? ""), "amd");
          for (const [name, metric] of ATTRIBUTES) page.add(metric, readNumberIfAny(`${device}/${name}`) ?? 0, card);
        }
      },
    };
  },
};
