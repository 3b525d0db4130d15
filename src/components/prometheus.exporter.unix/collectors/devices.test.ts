import assert from "node:assert/strict";
import { test } from "node:test";
import { Page } from "#kits/exporter/page";
import type { DriverInfo } from "../ethtool-socket.ts";
import { EthtoolSocket } from "../ethtool-socket.ts";
import { openLibc } from "../libc.ts";
import { FakeNetlink, message, nested, number, text } from "../netlink.testing.ts";
import { writeAttribute } from "../netlink.ts";
import { FixtureHost, sampleLines } from "../testing.ts";
import { createBtrfs } from "./btrfs.ts";
import { createEthtool, type EthtoolDevices } from "./ethtool.ts";
import { kernelHung } from "./kernel-hung.ts";
import { pcidevice } from "./pcidevice.ts";
import { perf } from "./perf.ts";
import { createWifi } from "./wifi.ts";

const libc = openLibc();

async function collect(collector: { collect(page: Page): unknown }): Promise<string[]> {
  const page = new Page();
  await collector.collect(page);
  return sampleLines(page);
}

const refusal = (code: string) => Object.assign(new Error(code), { code });

const DRIVER: DriverInfo = {
  driver: "bnx2x",
  version: "1.2",
  firmwareVersion: "fw",
  busInfo: "0000:3d:00.1",
  expansionRomVersion: "",
  statistics: 6,
};
const FAKE_DEVICES: EthtoolDevices = {
  linkInfo(device) {
    if (device !== "eth0") throw refusal("ENOTSUP");
    return {
      supported: (1 << 5) | (1 << 6) | (1 << 7) | (1 << 13),
      advertised: (1 << 5) | (1 << 31),
      autonegotiate: 1,
    };
  },
  driverInfo(device) {
    if (device === "lo") throw refusal("ENOTSUP");
    return DRIVER;
  },
  statistics: (device) =>
    new Map(
      device === "lo"
        ? []
        : [
            ["rx_bytes", 1000],
            ["[0]: tx ucast packets", 5],
            ["port.rx_dropped", 6],
            ["align errors", 7],
            ["align_errors", 8],
            ["duplicate rx", 9],
          ],
    ),
  [Symbol.dispose]() {},
};

test("ethtool: link settings, drivers and their statistics", async () => {
  using host = new FixtureHost({
    "sys/class/net/lo/type": "",
    "sys/class/net/eth0/type": "",
    "sys/class/net/br0/type": "",
  });
  const config = 'ethtool {\n device_exclude = "br.*"\n metrics_include = "rx|tx|align"\n}';
  assert.deepEqual(await collect(createEthtool(host.options(config), () => FAKE_DEVICES)), [
    'node_ethtool_0_transmitted_ucast_packets{device="eth0"} 5',
    'node_ethtool_duplicate_received{device="eth0"} 9',
    'node_ethtool_info{bus_info="0000:3d:00.1",device="eth0",driver="bnx2x",expansion_rom_version="",firmware_version="fw",version="1.2"} 1',
    'node_ethtool_port_received_dropped{device="eth0"} 6',
    'node_ethtool_received_bytes_total{device="eth0"} 1000',
    'node_network_advertised_speed_bytes{device="eth0",duplex="full",mode="1000baseT"} 125000000',
    'node_network_advertised_speed_bytes{device="eth0",duplex="full",mode="25000baseCR"} 3125000000',
    'node_network_asymmetricpause_advertised{device="eth0"} 0',
    'node_network_asymmetricpause_supported{device="eth0"} 0',
    'node_network_autonegotiate_advertised{device="eth0"} 0',
    'node_network_autonegotiate_supported{device="eth0"} 1',
    'node_network_autonegotiate{device="eth0"} 1',
    'node_network_pause_advertised{device="eth0"} 0',
    'node_network_pause_supported{device="eth0"} 1',
    'node_network_supported_port_info{device="eth0",type="TP"} 1',
    'node_network_supported_speed_bytes{device="eth0",duplex="full",mode="1000baseT"} 125000000',
  ]);
});

test("ethtool: the loopback device of this machine has no driver to ask", { skip: libc === undefined }, () => {
  using devices = new EthtoolSocket(libc!);
  assert.throws(() => devices.driverInfo("lo"), { code: "ENOTSUP", message: /^ethtool on lo: / });
  assert.throws(() => devices.linkInfo("no-such-device"), { code: "ENODEV" });
  assert.throws(() => devices.linkInfo("a-name-that-is-too-long"), /no name of a network device/);
});

const FAMILY = 28;

test("wifi: devices, the network they are in, and its stations", async () => {
  const generic = (...attributes: readonly Buffer[]) => message(4, [], ...attributes);
  const mac = (last: number) => Buffer.from([1, 2, 3, 4, 5, last]);
  const rate = (type: number, units: number) => nested(type, number(5, units));
  const station = nested(
    21,
    ...[
      number(16, 30),
      number(1, 400),
      rate(14, 1280),
      nested(8, number(1, 1640, 2)),
      number(23, 0, 8),
      number(2, 123),
    ],
    ...[number(24, 2 ** 33, 8), number(7, 256 - 52, 1), number(11, 10), number(12, 2), number(18, 1)],
  );
  const elements = writeAttribute(6, Buffer.from([1, 1, 0, 0, 6, ...Buffer.from("Ünter")]));
  const fake = new FakeNetlink((type, body) => {
    if (type === 16) return [generic(number(1, FAMILY, 2))];
    assert.equal(type, FAMILY);
    if (body[0] === 5) {
      const device = (index: number, name: Buffer) =>
        generic(number(3, index), name, writeAttribute(6, mac(index)), number(38, 2412));
      return [device(1, text(4, "wlan0")), device(2, text(4, "wlan1")), device(3, text(4, ""))];
    }
    // Requests name the device.
    const isFirst = body.readUInt32LE(8) === 1;
    if (body[0] === 32) {
      const other = generic(nested(47, writeAttribute(1, mac(7))));
      return isFirst ? [other, generic(nested(47, writeAttribute(1, mac(9)), number(9, 1), elements))] : [other];
    }
    return isFirst ? [generic(writeAttribute(6, mac(9)), station)] : [];
  });
  const labels = '{device="wlan0",mac_address="01:02:03:04:05:09"}';
  assert.deepEqual(await collect(createWifi(() => fake)), [
    'node_wifi_interface_frequency_hertz{device="wlan0"} 2412000000',
    'node_wifi_interface_frequency_hertz{device="wlan1"} 2412000000',
    `node_wifi_station_beacon_loss_total${labels} 1`,
    `node_wifi_station_connected_seconds_total${labels} 30`,
    `node_wifi_station_inactive_seconds${labels} 0.4`,
    'node_wifi_station_info{device="wlan0",bssid="01:02:03:04:05:09",ssid="Ünter",mode="client"} 1',
    `node_wifi_station_receive_bits_per_second${labels} 128000000`,
    `node_wifi_station_receive_bytes_total${labels} 123`,
    `node_wifi_station_signal_dbm${labels} -52`,
    `node_wifi_station_transmit_bits_per_second${labels} 164000000`,
    `node_wifi_station_transmit_bytes_total${labels} ${2 ** 33}`,
    `node_wifi_station_transmit_failed_total${labels} 2`,
    `node_wifi_station_transmit_retries_total${labels} 10`,
  ]);
  const none = new FakeNetlink(() => refusal("ENOENT"));
  await assert.rejects(collect(createWifi(() => none)), { name: "NoDataError" });
});

test("btrfs: devices as the kernel tells, or as sysfs does where it may not be asked", async () => {
  const id = "0abb23a9-579b-43e6-ad30-227ef47fcb9d";
  const tree: Record<string, string> = {
    "proc/1/mountinfo": [
      "36 35 0:50 / /data rw - btrfs /dev/loop1 rw",
      "37 35 0:50 / /again rw - btrfs /dev/loop1 rw",
      "38 35 0:51 / /secret rw - btrfs /dev/loop2 rw",
    ].join("\n"),
    [`sys/fs/btrfs/${id}/devices/loop1/size`]: "2048\n",
    [`sys/fs/btrfs/${id}/label`]: "x\n",
  };
  for (const type of ["data", "metadata", "system"])
    tree[`sys/fs/btrfs/${id}/allocation/${type}/bytes_reserved`] = "1\n";
  using host = new FixtureHost(tree);
  const { files, log } = host.options();
  const asked: string[] = [];
  const lines = await collect(
    createBtrfs(
      files,
      (mountPoint) => {
        asked.push(mountPoint.replace(`${host.root}/root`, ""));
        if (mountPoint.endsWith("/secret")) throw refusal("EACCES");
        const device = { path: "/dev/loop1", uuid: "u-1", totalBytes: 1000, usedBytes: 300, errors: [1, 0, 0, 4, 0] };
        return { filesystem: id, devices: [device] };
      },
      log,
    ),
  );
  assert.deepEqual(asked, ["/data", "/secret"]);
  const labels = `uuid="${id}",device="loop1",btrfs_dev_uuid="u-1"`;
  for (const line of [
    `node_btrfs_device_size_bytes{${labels}} 1000`,
    `node_btrfs_device_unused_bytes{${labels}} 700`,
    `node_btrfs_device_errors_total{uuid="${id}",type="write",device="loop1",btrfs_dev_uuid="u-1"} 1`,
    `node_btrfs_device_errors_total{uuid="${id}",type="corruption",device="loop1",btrfs_dev_uuid="u-1"} 4`,
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  const plain = await collect(createBtrfs(files, undefined, log));
  assert.ok(plain.includes(`node_btrfs_device_size_bytes{uuid="${id}",device="loop1"} 1048576`));
});

test("perf: what this machine can count grows; what it cannot is named", { skip: libc === undefined }, async (t) => {
  using host = new FixtureHost({});
  const config =
    'perf {\n disable_hardware_profilers = true\n disable_cache_profilers = true\n cpus = "0"\n software_profilers = ["ContextSwitch", "PageFault"]\n}';
  const collector = perf.create(host.options(config));
  try {
    const first = await collect(collector);
    assert.deepEqual(
      first.map((line) => line.split(" ")[0]),
      ['node_perf_context_switches_total{cpu="0"}', 'node_perf_page_faults_total{cpu="0"}'],
    );
  } catch (error) {
    // The kernel of this machine does not let this user count.
    assert.match((error as Error).message, /CAP_PERFMON|no software counters/);
    return t.skip("performance counters are not allowed here");
  } finally {
    collector.close?.();
  }
  const point = perf.create(host.options('perf {\n tracepoint = ["no:such"]\n}'));
  await assert.rejects(
    collect(point),
    /there is no trace point no:such in .*kernel\/tracing or .*; mount tracefs there/,
  );
});

test("kernel_hung and pcidevice: what newer versions of node_exporter have", async () => {
  const folder = "sys/devices/pci0000:00/0000:00:02.1";
  const child = `${folder}/0000:04:00.0`;
  const tree: Record<string, string> = {
    "proc/sys/kernel/hung_task_detect_count": "7\n",
    "sys/bus/pci/devices/0000:00:02.1": "-> ../../../devices/pci0000:00/0000:00:02.1",
    "sys/bus/pci/devices/0000:04:00.0": "-> ../../../devices/pci0000:00/0000:00:02.1/0000:04:00.0",
    [`${child}/max_link_speed`]: "8.0 GT/s PCIe\n",
    [`${child}/current_link_speed`]: "Unknown\n",
    [`${child}/max_link_width`]: "4\n",
    [`${child}/numa_node`]: "0\n",
    [`${child}/power_state`]: "D3cold\n",
  };
  for (const device of [folder, child]) {
    for (const [file, text] of Object.entries({
      class: "0x010802",
      vendor: "0xc0a9",
      device: "0x540a",
      revision: "0x01",
    })) {
      tree[`${device}/${file}`] = `${text}\n`;
    }
    for (const file of ["subsystem_vendor", "subsystem_device"]) tree[`${device}/${file}`] = "0x0100\n";
  }
  using host = new FixtureHost(tree);
  assert.deepEqual(await host.collect(kernelHung), ["node_kernel_hung_tasks_total 7"]);
  const lines = await host.collect(pcidevice);
  const at = 'segment="0000",bus="04",device="00",function="0"';
  for (const line of [
    `node_pcidevice_info{${at},parent_segment="0000",parent_bus="00",parent_device="02",parent_function="1",class_id="0x010802",vendor_id="0xc0a9",device_id="0x540a",subsystem_vendor_id="0x0100",subsystem_device_id="0x0100",revision="0x01"} 1`,
    `node_pcidevice_max_link_transfers_per_second{${at}} 8000000000`,
    `node_pcidevice_current_link_transfers_per_second{${at}} -1`,
    `node_pcidevice_max_link_width{${at}} 4`,
    `node_pcidevice_sriov_numvfs{${at}} 0`,
    `node_pcidevice_numa_node{${at}} 0`,
    `node_pcidevice_power_state{${at},state="D3cold"} 1`,
    `node_pcidevice_power_state{${at},state="D0"} 0`,
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.ok(lines.some((line) => line.includes('bus="00",device="02",function="1",parent_segment="*"')));
  using other = new FixtureHost({ "proc/x": "" });
  await assert.rejects(other.collect(pcidevice), { name: "NoDataError" });
});
