import assert from "node:assert/strict";
import { test } from "node:test";
import { NoDataError } from "../collector.ts";
import { FixtureHost } from "../testing.ts";
import { cpu } from "./cpu.ts";
import { cpufreq } from "./cpufreq.ts";
import { dmi } from "./dmi.ts";
import { edac } from "./edac.ts";
import { fibrechannel } from "./fibrechannel.ts";
import { hwmon } from "./hwmon.ts";
import { infiniband } from "./infiniband.ts";
import { powersupplyclass } from "./powersupplyclass.ts";
import { rapl } from "./rapl.ts";
import { thermalZone } from "./thermal-zone.ts";
import { watchdog } from "./watchdog.ts";

test("hwmon: names, units and chips", async () => {
  const chip = "sys/devices/platform/coretemp.0";
  using host = new FixtureHost({
    [`${chip}/hwmon/hwmon0/name`]: "coretemp\n",
    [`${chip}/hwmon/hwmon0/device`]: "-> ../..",
    [`${chip}/hwmon/hwmon0/temp1_input`]: "55000\n",
    [`${chip}/hwmon/hwmon0/temp1_label`]: "Physical id 0\n",
    [`${chip}/hwmon/hwmon0/temp1_crit_alarm`]: "0\n",
    [`${chip}/hwmon/hwmon0/temp1_max`]: "84000\n",
    [`${chip}/hwmon/hwmon0/uevent`]: "\n",
    "sys/class/hwmon/hwmon0": "-> ../../devices/platform/coretemp.0/hwmon/hwmon0",
    "sys/class/hwmon/hwmon1/name": "nct6775\n",
    "sys/class/hwmon/hwmon1/beep_enable": "1\n",
    "sys/class/hwmon/hwmon1/in0_input": "792\n",
    "sys/class/hwmon/hwmon1/in0_beep": "0\n",
    "sys/class/hwmon/hwmon1/fan2_input": "1098\n",
    "sys/class/hwmon/hwmon1/fan2_fault": "1\n",
    "sys/class/hwmon/hwmon1/fan2_pulses": "2\n",
    "sys/class/hwmon/hwmon1/pwm2": "150\n",
    "sys/class/hwmon/hwmon1/pwm2_mode": "1\n",
    "sys/class/hwmon/hwmon1/power1_average": "5000000\n",
    "sys/class/hwmon/hwmon1/power1_average_interval": "1000\n",
    "sys/class/hwmon/hwmon1/energy1_input": "123000000\n",
    "sys/class/hwmon/hwmon1/curr1_input": "1500\n",
    "sys/class/hwmon/hwmon1/humidity1_input": "45000000\n",
    "sys/class/hwmon/hwmon1/freq1_input": "1800000000\n",
    "sys/class/hwmon/hwmon1/freq1_label": "sclk\n",
    "sys/class/hwmon/hwmon1/freq2_input": "1800000000\n",
    "sys/class/hwmon/hwmon1/intrusion0_alarm": "0\n",
    "sys/class/hwmon/hwmon1/temp3_type": "4\n",
    "sys/class/hwmon/hwmon1/update_interval": "1000\n",
  });
  assert.deepEqual(await host.collect(hwmon), [
    'node_hwmon_beep_enabled{chip="nct6775",sensor="beep_enable0"} 1',
    'node_hwmon_chip_names{chip="nct6775",chip_name="nct6775"} 1',
    'node_hwmon_chip_names{chip="platform_coretemp_0",chip_name="coretemp"} 1',
    'node_hwmon_curr_amps{chip="nct6775",sensor="curr1"} 1.5',
    'node_hwmon_energy_joule_total{chip="nct6775",sensor="energy1"} 123',
    'node_hwmon_fan_fault{chip="nct6775",sensor="fan2"} 1',
    'node_hwmon_fan_pulses{chip="nct6775",sensor="fan2"} 2',
    'node_hwmon_fan_rpm{chip="nct6775",sensor="fan2"} 1098',
    'node_hwmon_freq_freq_mhz{chip="nct6775",sensor="sclk"} 1800',
    'node_hwmon_humidity{chip="nct6775",sensor="humidity1"} 45',
    'node_hwmon_in_beep_enabled{chip="nct6775",sensor="in0"} 0',
    'node_hwmon_in_volts{chip="nct6775",sensor="in0"} 0.792',
    'node_hwmon_intrusion_alarm{chip="nct6775",sensor="intrusion0"} 0',
    'node_hwmon_power_average_interval_seconds{chip="nct6775",sensor="power1"} 1',
    'node_hwmon_power_average_watt{chip="nct6775",sensor="power1"} 5',
    'node_hwmon_pwm_mode{chip="nct6775",sensor="pwm2"} 1',
    'node_hwmon_pwm{chip="nct6775",sensor="pwm2"} 150',
    'node_hwmon_sensor_label{chip="nct6775",sensor="freq1",label="sclk"} 1',
    'node_hwmon_sensor_label{chip="platform_coretemp_0",sensor="temp1",label="Physical id 0"} 1',
    'node_hwmon_temp_celsius{chip="platform_coretemp_0",sensor="temp1"} 55',
    'node_hwmon_temp_crit_alarm_celsius{chip="platform_coretemp_0",sensor="temp1"} 0',
    'node_hwmon_temp_max_celsius{chip="platform_coretemp_0",sensor="temp1"} 84',
    'node_hwmon_temp_type{chip="nct6775",sensor="temp3"} 4',
    'node_hwmon_update_interval_seconds{chip="nct6775",sensor="update_interval0"} 1',
  ]);
  const filtered = await host.collect(hwmon, 'hwmon { chip_include = "coretemp" }');
  assert.equal(
    filtered.some((line) => line.includes("nct6775")),
    false,
  );
  using bare = new FixtureHost({ "sys/x": "" });
  await assert.rejects(bare.collect(hwmon), NoDataError);
});

test("infiniband: ports, words as bytes, what a port does not count", async () => {
  const port = "sys/class/infiniband/mlx5_0/ports/1";
  using host = new FixtureHost({
    "sys/class/infiniband/mlx5_0/fw_ver": "16.35.2000\n",
    "sys/class/infiniband/mlx5_0/board_id": "MT_1\n",
    [`${port}/link_layer`]: "InfiniBand\n",
    [`${port}/state`]: "4: ACTIVE\n",
    [`${port}/phys_state`]: "5: LinkUp\n",
    [`${port}/rate`]: "2.5 Gb/sec (1X SDR)\n",
    [`${port}/counters/port_rcv_data`]: "100\n",
    [`${port}/counters/VL15_dropped`]: "N/A (no PMA)\n",
    [`${port}/counters/link_downed`]: "3\n",
    [`${port}/counters_ext/port_xmit_data_64`]: "7\n",
  });
  assert.deepEqual(await host.collect(infiniband), [
    'node_infiniband_info{device="mlx5_0",board_id="MT_1",firmware_version="16.35.2000",hca_type=""} 1',
    'node_infiniband_legacy_data_transmitted_bytes_total{device="mlx5_0",port="1"} 28',
    'node_infiniband_link_downed_total{device="mlx5_0",port="1"} 3',
    'node_infiniband_physical_state_id{device="mlx5_0",port="1"} 5',
    'node_infiniband_port_data_received_bytes_total{device="mlx5_0",port="1"} 400',
    'node_infiniband_rate_bytes_per_second{device="mlx5_0",port="1"} 312500000',
    'node_infiniband_state_id{device="mlx5_0",port="1"} 4',
  ]);
});

test("fibrechannel: hexadecimal numbers, and what a driver does not count", async () => {
  const root = "sys/class/fc_host/host0";
  using host = new FixtureHost({
    [`${root}/speed`]: "16 Gbit\n",
    [`${root}/port_id`]: "0x000002\n",
    [`${root}/dev_loss_tmo`]: "30\n",
    [`${root}/statistics/rx_frames`]: "0xFF\n",
    [`${root}/statistics/tx_words`]: "0xffffffffffffffff\n",
  });
  assert.deepEqual(await host.collect(fibrechannel), [
    'node_fibrechannel_info{fc_host="host0",speed="16 Gbit",port_state="",port_type="",port_id="000002",port_name="",fabric_name="",symbolic_name="",supported_classes="",supported_speeds="",dev_loss_tmo="30"} 1',
    'node_fibrechannel_rx_frames_total{fc_host="host0"} 255',
  ]);
});

test("power supplies: units by kind, empty labels left out", async () => {
  const root = "sys/class/power_supply";
  using host = new FixtureHost({
    [`${root}/BAT0/capacity`]: "81\n",
    [`${root}/BAT0/cycle_count`]: "12\n",
    [`${root}/BAT0/energy_now`]: "36580000\n",
    [`${root}/BAT0/voltage_now`]: "11750000\n",
    [`${root}/BAT0/temp`]: "305\n",
    [`${root}/BAT0/status`]: "Discharging\n",
    [`${root}/BAT0/manufacturer`]: "LGC\n",
    [`${root}/BAT0/serial_number`]: " \n",
    [`${root}/BAT0/uevent`]: "POWER_SUPPLY_NAME=BAT0\n",
    [`${root}/AC/online`]: "0\n",
    [`${root}/AC/type`]: "Mains\n",
  });
  assert.deepEqual(await host.collect(powersupplyclass), [
    'node_power_supply_capacity{power_supply="BAT0"} 81',
    'node_power_supply_cyclecount{power_supply="BAT0"} 12',
    'node_power_supply_energy_watthour{power_supply="BAT0"} 36.58',
    'node_power_supply_info{power_supply="AC",type="Mains"} 1',
    'node_power_supply_info{power_supply="BAT0",manufacturer="LGC",status="Discharging"} 1',
    'node_power_supply_online{power_supply="AC"} 0',
    'node_power_supply_temp_celsius{power_supply="BAT0"} 30.5',
    'node_power_supply_voltage_volt{power_supply="BAT0"} 11.75',
  ]);
  const filtered = await host.collect(powersupplyclass, 'powersupply { ignored_supplies = "^BAT" }');
  assert.equal(filtered.length, 2);
});

test("rapl, thermal zones and cooling devices", async () => {
  using host = new FixtureHost({
    "sys/class/powercap/intel-rapl/enabled": "1\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "240422366267\n",
    "sys/class/powercap/intel-rapl:0:0/name": "core\n",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "118821284256\n",
    "sys/class/powercap/intel-rapl:1:0/name": "core\n",
    "sys/class/powercap/intel-rapl:1:0/energy_uj": "1000000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "49925\n",
    "sys/class/thermal/thermal_zone1/type": "off\n",
    "sys/class/thermal/cooling_device0/type": "Processor\n",
    "sys/class/thermal/cooling_device0/max_state": "50\n",
    "sys/class/thermal/cooling_device0/cur_state": "-1\n",
  });
  assert.deepEqual(await host.collect(rapl), [
    'node_rapl_core_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:0"} 118821.284256',
    'node_rapl_core_joules_total{index="1",path="/sys/class/powercap/intel-rapl:1:0"} 1',
    'node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} 240422.366267',
  ]);
  assert.deepEqual(await host.collect(thermalZone), [
    'node_cooling_device_cur_state{name="0",type="Processor"} -1',
    'node_cooling_device_max_state{name="0",type="Processor"} 50',
    'node_thermal_zone_temp{zone="0",type="cpu-thermal"} 49.925',
  ]);
});

test("edac, watchdog and dmi", async () => {
  const mc = "sys/devices/system/edac/mc/mc0";
  using host = new FixtureHost({
    [`${mc}/ce_count`]: "1\n",
    [`${mc}/ce_noinfo_count`]: "2\n",
    [`${mc}/ue_count`]: "5\n",
    [`${mc}/ue_noinfo_count`]: "6\n",
    [`${mc}/csrow0/ce_count`]: "3\n",
    [`${mc}/csrow0/ue_count`]: "4\n",
    "sys/class/watchdog/watchdog0/timeout": "60\n",
    "sys/class/watchdog/watchdog0/options": "0x8380\n",
    "sys/class/watchdog/watchdog0/identity": "Software Watchdog\n",
    "sys/class/dmi/id/bios_vendor": 'Dell "Inc."\n',
    "sys/class/dmi/id/sys_vendor": "Dell\n",
    "sys/class/dmi/id/modalias": "dmi:\n",
  });
  assert.deepEqual(await host.collect(edac), [
    'node_edac_correctable_errors_total{controller="0"} 1',
    'node_edac_csrow_correctable_errors_total{controller="0",csrow="0"} 3',
    'node_edac_csrow_correctable_errors_total{controller="0",csrow="unknown"} 2',
    'node_edac_csrow_uncorrectable_errors_total{controller="0",csrow="0"} 4',
    'node_edac_csrow_uncorrectable_errors_total{controller="0",csrow="unknown"} 6',
    'node_edac_uncorrectable_errors_total{controller="0"} 5',
  ]);
  assert.deepEqual(await host.collect(watchdog), [
    'node_watchdog_info{name="watchdog0",options="0x8380",identity="Software Watchdog",state="",status="",pretimeout_governor=""} 1',
    'node_watchdog_timeout_seconds{name="watchdog0"} 60',
  ]);
  assert.deepEqual(await host.collect(dmi), ['node_dmi_info{bios_vendor="Dell \\"Inc.\\"",system_vendor="Dell"} 1']);
});

test("cpu: times never step back, throttles are counted once, information on request", async () => {
  const stat = (idle: number) => `cpu  1 1 1 1 1 1 1 1 1 1\ncpu0 100 0 50 ${idle} 3 0 1 0 7 0\nintr 5\n`;
  const folder = "sys/devices/system/cpu";
  const tree: Record<string, string> = {
    "proc/stat": stat(1000),
    "proc/cpuinfo":
      "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 142\nmodel name\t: Intel: X\nstepping\t: 10\nmicrocode\t: 0xb4\ncpu MHz\t\t: 799.998\ncache size\t: 8192 KB\nphysical id\t: 0\ncore id\t\t: 3\nflags\t\t: fpu vme aes\nbugs\t\t: spectre_v1 mds\n\n",
    [`${folder}/isolated`]: "1-2,4\n",
  };
  for (const name of ["cpu0", "cpu1"]) {
    tree[`${folder}/${name}/topology/physical_package_id`] = "0\n";
    tree[`${folder}/${name}/topology/core_id`] = "0\n";
    tree[`${folder}/${name}/thermal_throttle/core_throttle_count`] = "5\n";
    tree[`${folder}/${name}/thermal_throttle/package_throttle_count`] = "30\n";
  }
  using host = new FixtureHost(tree);
  const lines = await host.collect(cpu);
  assert.equal(lines.filter((line) => line.startsWith("node_cpu_seconds_total")).length, 8);
  for (const line of [
    'node_cpu_seconds_total{cpu="0",mode="idle"} 10',
    'node_cpu_seconds_total{cpu="0",mode="softirq"} 0.01',
    'node_cpu_isolated{cpu="4"} 1',
    'node_cpu_core_throttles_total{package="0",core="0"} 5',
    'node_cpu_package_throttles_total{package="0"} 30',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.equal(
    lines.some((line) => /node_cpu_(info|guest|flag)/.test(line)),
    false,
  );

  const detailed = await host.collect(cpu, 'cpu {\n guest = true\n flags_include = "^a"\n bugs_include = "spec.*"\n}');
  for (const line of [
    'node_cpu_guest_seconds_total{cpu="0",mode="user"} 0.07',
    'node_cpu_info{package="0",core="3",cpu="0",vendor="GenuineIntel",family="6",model="142",model_name="Intel: X",microcode="0xb4",stepping="10",cachesize="8192 KB"} 1',
    'node_cpu_flag_info{flag="aes"} 1',
    'node_cpu_bug_info{bug="spectre_v1"} 1',
  ]) {
    assert.ok(detailed.includes(line), `${line}\nis not in\n${detailed.join("\n")}`);
  }
  assert.equal(detailed.filter((line) => line.startsWith("node_cpu_flag_info")).length, 1);
});

test("cpu: a small step back of the idle time is ignored, a large one is a CPU that came back", async () => {
  const { Page } = await import("#kits/exporter/page");
  const { sampleLines } = await import("../testing.ts");
  using host = new FixtureHost({ "proc/stat": "cpu0 100 0 0 1000 0 0 0 0 0 0\n" });
  const collector = cpu.create(host.options());
  const idle = async (line: string) => {
    host.write("proc/stat", `${line}\n`);
    const page = new Page();
    await collector.collect(page);
    return sampleLines(page)
      .filter((each) => /mode="(idle|user)"/.test(each))
      .map((each) => each.split(" ")[1]);
  };
  assert.deepEqual(await idle("cpu0 100 0 0 1000 0 0 0 0 0 0"), ["10", "1"]);
  assert.deepEqual(await idle("cpu0 101 0 0 900 0 0 0 0 0 0"), ["10", "1.01"]);
  assert.deepEqual(await idle("cpu0 5 0 0 7 0 0 0 0 0 0"), ["0.07", "0.05"]);
});

test("cpufreq: frequencies in hertz, the governor in force", async () => {
  const folder = "sys/devices/system/cpu";
  using host = new FixtureHost({
    [`${folder}/offline`]: "1\n",
    [`${folder}/cpu0/cpufreq/scaling_cur_freq`]: "1219917\n",
    [`${folder}/cpu0/cpufreq/cpuinfo_max_freq`]: "3700000\n",
    [`${folder}/cpu0/cpufreq/scaling_governor`]: "powersave\n",
    [`${folder}/cpu0/cpufreq/scaling_available_governors`]: "performance powersave\n",
    [`${folder}/cpu1/cpufreq/scaling_cur_freq`]: "1\n",
  });
  assert.deepEqual(await host.collect(cpufreq), [
    'node_cpu_frequency_max_hertz{cpu="0"} 3700000000',
    'node_cpu_scaling_frequency_hertz{cpu="0"} 1219917000',
    'node_cpu_scaling_governor{cpu="0",governor="performance"} 0',
    'node_cpu_scaling_governor{cpu="0",governor="powersave"} 1',
  ]);
});
