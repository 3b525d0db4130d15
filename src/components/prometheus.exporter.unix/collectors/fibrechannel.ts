import { counter, gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readIfAny, readNumberIfAny } from "../files.ts";
import { listSubject } from "../subject.ts";

const ATTRIBUTES = [
  ...["speed", "port_state", "port_type", "port_id", "port_name", "fabric_name", "symbolic_name"],
  ...["supported_classes", "supported_speeds", "dev_loss_tmo"],
];
/** Written as `0x…` in sysfs. */
const HEXADECIMAL = new Set(["port_id", "port_name", "fabric_name"]);
const info = gauge(
  "node_fibrechannel_info",
  "Non-numeric data from /sys/class/fc_host/<host>, value is always 1.",
  "fc_host",
  ...ATTRIBUTES,
);

const total = (name: string, help: string) => counter(`node_fibrechannel_${name}_total`, help, "fc_host");
const STATISTICS = [
  ["dumped_frames", total("dumped_frames", "Number of dumped frames")],
  ["error_frames", total("error_frames", "Number of errors in frames")],
  ["invalid_crc_count", total("invalid_crc", "Invalid Cyclic Redundancy Check count")],
  ["rx_frames", total("rx_frames", "Number of frames received")],
  ["rx_words", total("rx_words", "Number of words received by host port")],
  ["tx_frames", total("tx_frames", "Number of frames transmitted by host port")],
  ["tx_words", total("tx_words", "Number of words transmitted by host port")],
  ["seconds_since_last_reset", total("seconds_since_last_reset", "Number of seconds since last host port reset")],
  ["invalid_tx_word_count", total("invalid_tx_words", "Number of invalid words transmitted by host port")],
  ["link_failure_count", total("link_failure", "Number of times the host port link has failed")],
  ["loss_of_sync_count", total("loss_of_sync", "Number of failures on either bit or transmission word boundaries")],
  ["loss_of_signal_count", total("loss_of_signal", "Number of times signal has been lost")],
  ["nos_count", total("nos", "Number Not_Operational Primitive Sequence received by host port")],
  ["fcp_packet_aborts", total("fcp_packet_aborts", "Number of aborted packets")],
] as const;
/** All bits set: the driver does not count this. */
const NOT_COUNTED = 2 ** 64;

export const fibrechannel: CollectorDefinition = {
  name: "fibrechannel",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("class/fc_host");
        for (const host of listSubject(root, "no Fibre Channel hosts")) {
          const labels = ATTRIBUTES.map((name) => {
            const value = readIfAny(`${root}/${host}/${name}`) ?? "";
            return HEXADECIMAL.has(name) && value.length > 2 ? value.slice(2) : value;
          });
          page.add(info, 1, host, ...labels);
          for (const [file, metric] of STATISTICS) {
            const value = readNumberIfAny(`${root}/${host}/statistics/${file}`);
            if (value !== undefined && value < NOT_COUNTED) page.add(metric, value, host);
          }
        }
      },
    };
  },
};
