import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { readIfAny } from "../files.ts";

const LABELS = [
  ...["bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial"],
  ...["board_vendor", "board_version", "chassis_asset_tag", "chassis_serial", "chassis_vendor", "chassis_version"],
  ...["product_family", "product_name", "product_serial", "product_sku", "product_uuid", "product_version"],
  "system_vendor",
];

const info = {
  name: "node_dmi_info",
  help: `A metric with a constant '1' value labeled by ${LABELS.join(", ")} if provided by DMI.`,
  type: "gauge",
} as const;

export const dmi: CollectorDefinition = {
  name: "dmi",
  enabledByDefault: true,
  create({ files }) {
    const labels: string[] = [];
    for (const label of LABELS) {
      const value = readIfAny(files.sys(`class/dmi/id/${label === "system_vendor" ? "sys_vendor" : label}`));
      if (value !== undefined) labels.push(label, value);
    }
    return {
      collect(page) {
        if (labels.length === 0) throw new NoDataError("the platform has no DMI");
        page.addSample(info, { name: info.name, labels, value: 1 });
      },
    };
  },
};
