import { counter, gauge, type Page } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listFolder, parseNumber, readIfAny, readTrimmed } from "../files.ts";
import { listSubject } from "../subject.ts";

const info = gauge(
  "node_infiniband_info",
  "Non-numeric data from /sys/class/infiniband/<device>, value is always 1.",
  ...["device", "board_id", "firmware_version", "hca_type"],
);
const state = gauge(
  "node_infiniband_state_id",
  "State of the InfiniBand port (0: no change, 1: down, 2: init, 3: armed, 4: active, 5: act defer)",
  "device",
  "port",
);
const physicalState = gauge(
  "node_infiniband_physical_state_id",
  "Physical state of the InfiniBand port (0: no change, 1: sleep, 2: polling, 3: disable, 4: shift, 5: link up, 6: link error recover, 7: phytest)",
  "device",
  "port",
);
const rate = gauge("node_infiniband_rate_bytes_per_second", "Maximum signal transfer rate", "device", "port");

const total = (name: string, help: string) => counter(`node_infiniband_${name}_total`, help, "device", "port");
/** Data is counted in words of four bytes. */
const WORD = 4;

/** Files of a port. The folder `counters_ext` belongs to old drivers. */
const COUNTERS = [
  [
    "counters_ext/port_multicast_rcv_packets",
    total("legacy_multicast_packets_received", "Number of multicast packets received"),
    1,
  ],
  [
    "counters_ext/port_multicast_xmit_packets",
    total("legacy_multicast_packets_transmitted", "Number of multicast packets transmitted"),
    1,
  ],
  [
    "counters_ext/port_rcv_data_64",
    total("legacy_data_received_bytes", "Number of data octets received on all links"),
    WORD,
  ],
  [
    "counters_ext/port_rcv_packets_64",
    total("legacy_packets_received", "Number of data packets received on all links"),
    1,
  ],
  [
    "counters_ext/port_unicast_rcv_packets",
    total("legacy_unicast_packets_received", "Number of unicast packets received"),
    1,
  ],
  [
    "counters_ext/port_unicast_xmit_packets",
    total("legacy_unicast_packets_transmitted", "Number of unicast packets transmitted"),
    1,
  ],
  [
    "counters_ext/port_xmit_data_64",
    total("legacy_data_transmitted_bytes", "Number of data octets transmitted on all links"),
    WORD,
  ],
  [
    "counters_ext/port_xmit_packets_64",
    total("legacy_packets_transmitted", "Number of data packets received on all links"),
    1,
  ],
  [
    "counters/excessive_buffer_overrun_errors",
    total(
      "excessive_buffer_overrun_errors",
      "Number of times that OverrunErrors consecutive flow control update periods occurred, each having at least one overrun error.",
    ),
    1,
  ],
  [
    "counters/link_downed",
    total("link_downed", "Number of times the link failed to recover from an error state and went down"),
    1,
  ],
  [
    "counters/link_error_recovery",
    total("link_error_recovery", "Number of times the link successfully recovered from an error state"),
    1,
  ],
  [
    "counters/local_link_integrity_errors",
    total(
      "local_link_integrity_errors",
      "Number of times that the count of local physical errors exceeded the threshold specified by LocalPhyErrors.",
    ),
    1,
  ],
  [
    "counters/multicast_rcv_packets",
    total("multicast_packets_received", "Number of multicast packets received (including errors)"),
    1,
  ],
  [
    "counters/multicast_xmit_packets",
    total("multicast_packets_transmitted", "Number of multicast packets transmitted (including errors)"),
    1,
  ],
  [
    "counters/port_rcv_constraint_errors",
    total(
      "port_constraint_errors_received",
      "Number of packets received on the switch physical port that are discarded",
    ),
    1,
  ],
  [
    "counters/port_xmit_constraint_errors",
    total("port_constraint_errors_transmitted", "Number of packets not transmitted from the switch physical port"),
    1,
  ],
  ["counters/port_rcv_data", total("port_data_received_bytes", "Number of data octets received on all links"), WORD],
  [
    "counters/port_xmit_data",
    total("port_data_transmitted_bytes", "Number of data octets transmitted on all links"),
    WORD,
  ],
  [
    "counters/port_rcv_discards",
    total(
      "port_discards_received",
      "Number of inbound packets discarded by the port because the port is down or congested",
    ),
    1,
  ],
  [
    "counters/port_xmit_discards",
    total(
      "port_discards_transmitted",
      "Number of outbound packets discarded by the port because the port is down or congested",
    ),
    1,
  ],
  [
    "counters/port_rcv_errors",
    total("port_errors_received", "Number of packets containing an error that were received on this port"),
    1,
  ],
  [
    "counters/port_rcv_packets",
    total("port_packets_received", "Number of packets received on all VLs by this port (including errors)"),
    1,
  ],
  [
    "counters/port_xmit_packets",
    total("port_packets_transmitted", "Number of packets transmitted on all VLs from this port (including errors)"),
    1,
  ],
  [
    "counters/port_xmit_wait",
    total(
      "port_transmit_wait",
      "Number of ticks during which the port had data to transmit but no data was sent during the entire tick",
    ),
    1,
  ],
  [
    "counters/unicast_rcv_packets",
    total("unicast_packets_received", "Number of unicast packets received (including errors)"),
    1,
  ],
  [
    "counters/unicast_xmit_packets",
    total("unicast_packets_transmitted", "Number of unicast packets transmitted (including errors)"),
    1,
  ],
  [
    "counters/port_rcv_remote_physical_errors",
    total(
      "port_receive_remote_physical_errors",
      "Number of packets marked with the EBP (End of Bad Packet) delimiter received on the port.",
    ),
    1,
  ],
  [
    "counters/port_rcv_switch_relay_errors",
    total("port_receive_switch_relay_errors", "Number of packets that could not be forwarded by the switch."),
    1,
  ],
  [
    "counters/symbol_error",
    total("symbol_error", "Number of minor link errors detected on one or more physical lanes."),
    1,
  ],
  [
    "counters/VL15_dropped",
    total("vl15_dropped", "Number of incoming VL15 packets dropped due to resource limitations."),
    1,
  ],
] as const;

export const infiniband: CollectorDefinition = {
  name: "infiniband",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("class/infiniband");
        for (const device of listSubject(root, "no InfiniBand devices")) {
          const folder = `${root}/${device}`;
          const board = readIfAny(`${folder}/board_id`) ?? "";
          page.add(info, 1, device, board, readTrimmed(`${folder}/fw_ver`), readIfAny(`${folder}/hca_type`) ?? "");
          for (const port of listFolder(`${folder}/ports`)) collectPort(page, `${folder}/ports/${port}`, device, port);
        }
      },
    };
  },
};

function collectPort(page: Page, folder: string, device: string, port: string): void {
  // "4: ACTIVE", "100 Gb/sec (4X EDR)"
  page.add(state, parseNumber(readTrimmed(`${folder}/state`).split(":")[0]!), device, port);
  page.add(physicalState, parseNumber(readTrimmed(`${folder}/phys_state`).split(":")[0]!), device, port);
  const gigabits = parseNumber(readTrimmed(`${folder}/rate`).split(" ")[0]!);
  page.add(rate, Math.trunc(gigabits * 125_000_000), device, port);
  for (const [file, metric, scale] of COUNTERS) {
    const text = readIfAny(`${folder}/${file}`);
    if (text === undefined || text.includes("N/A (no PMA)")) continue;
    page.add(metric, parseNumber(text) * scale, device, port);
  }
}
