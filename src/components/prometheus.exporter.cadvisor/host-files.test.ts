import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseMount } from "#kits/mounts";
import { findFileSystems } from "./file-systems.ts";
import { hugePageSizes, readMachine } from "./machine.ts";
import { readAdvancedTcp, readInterfaces, readTcpStates, readUdp } from "./network.ts";
import { countProcesses, processesIn, referencedBytes, ScheduleCounts } from "./process-counts.ts";
import { addFiles, writeTree } from "./testing.ts";

test("interfaces, without those of the engine itself", (t) => {
  const root = writeTree(t, {
    "net/dev": [
      "Inter-|   Receive                                                |  Transmit",
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed",
      "    lo:       1    1    0    0    0     0          0         0        1       1    0    0    0     0       0          0",
      "  eth0:10 20 3 4 0 0 0 0 50 60 7 8 0 0 0 0",
      "veth1a:       1    1    0    0    0     0          0         0        1       1    0    0    0     0       0          0",
      "short: 1 2 3",
    ].join("\n"),
  });
  assert.deepEqual(readInterfaces(root), [{ name: "eth0", counts: [10, 20, 3, 4, 50, 60, 7, 8] }]);
  assert.deepEqual(readInterfaces(join(root, "gone")), []);
});

test("sockets by state", (t) => {
  const tail = "00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0";
  const root = writeTree(t, {
    tcp: `  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A ${tail}\n   1: A B 01 ${tail}\n   2: A B 01 ${tail}\n`,
    udp: "  sl  local_address rem_address   st\n  1: 00000000:0044 00000000:0000 07 00000010:00000002 00:00000000 00000000 0 0 1 2 0000000000000000 5\n  2: short\n",
    "net/netstat": "TcpExt: SyncookiesSent TW PAWSEstab\nTcpExt: 3 4 5\nIpExt: InNoRoutes\nIpExt: 9\n",
    "net/snmp": "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn\nTcp: 1 -1\n",
  });
  const states = readTcpStates(join(root, "tcp"));
  assert.deepEqual([states[0], states[9], states.reduce((sum, count) => sum + count, 0)], [2, 1, 3]);
  assert.deepEqual(readUdp(join(root, "udp")), [2, 5, 16, 2]);
  const advanced = readAdvancedTcp(root);
  assert.deepEqual([advanced[0], advanced[3], advanced.at(-1), advanced[4]], [1, -1, 5, 0]);
});

test("processes of a group: files, sockets, limits and time on the CPU", (t) => {
  const root = writeTree(t, {
    "group/cgroup.procs": "10\n11\n12\n",
    "proc/10/limits":
      "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 4096                 files     \n",
    "proc/10/fd/3": "",
    "proc/10/schedstat": "100 20 3\n",
    "proc/11/schedstat": "5 6 7\n",
    "proc/10/smaps": "00-01 r--p\nReferenced:           8 kB\n02-03 r--p\nReferenced:          12 kB\n",
  });
  addFiles(root, { "proc/11/fd/0": "" });
  symlinkSync("socket:[1234]", join(root, "proc/11/fd/7"));
  assert.deepEqual(processesIn(join(root, "group")), [10, 11, 12]);
  assert.deepEqual(countProcesses(join(root, "proc"), join(root, "group"), 10), {
    processes: 3,
    files: 3,
    sockets: 1,
    openFilesLimit: 1024,
  });
  assert.equal(countProcesses(join(root, "proc"), join(root, "group"), 0).openFilesLimit, undefined);
  assert.equal(referencedBytes(join(root, "proc"), [10, 12]), 20 * 1024);

  const schedule = new ScheduleCounts();
  assert.deepEqual(schedule.update(join(root, "proc"), [10, 11]), [105, 26, 10]);
  addFiles(root, { "proc/10/schedstat": "200 20 4\n" });
  // What the process that ended did still counts, once.
  assert.deepEqual(schedule.update(join(root, "proc"), [10]), [205, 26, 11]);
  assert.deepEqual(schedule.update(join(root, "proc"), [10]), [205, 26, 11]);
});

test("file systems: each device once, tmpfs by its place", () => {
  const mounts = [
    "22 27 0:21 / /proc rw - proc proc rw",
    "27 1 254:0 / / rw - ext4 /dev/vda rw",
    "28 1 254:0 /x /bind rw - ext4 /dev/vda rw",
    "29 27 0:22 / /dev/shm rw - tmpfs tmpfs rw",
    "30 27 0:23 / /run rw - tmpfs tmpfs rw",
    "31 27 0:55 / /merged rw - overlay overlay rw",
    "32 27 0:56 / /merged2 rw - overlay overlay rw",
  ].map(parseMount);
  assert.deepEqual(
    findFileSystems(mounts).map(({ device, mountPoint }) => `${device} ${mountPoint}`),
    ["/dev/vda /", "/dev/shm /dev/shm", "/run /run", "overlay_0-55 /merged", "overlay_0-56 /merged2"],
  );
});

test("a machine with nodes, caches, memory modules and huge pages", (t) => {
  const cpu = (id: number, core: number) => ({
    [`sys/devices/system/node/node0/cpu${id}/topology/core_id`]: `${core}\n`,
    [`sys/devices/system/node/node0/cpu${id}/topology/physical_package_id`]: "0\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index0/type`]: "Data\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index0/level`]: "1\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index0/size`]: "32K\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index0/shared_cpu_map`]: "3\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index3/type`]: "Unified\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index3/level`]: "3\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index3/size`]: "8M\n",
    [`sys/devices/system/cpu/cpu${id}/cache/index3/shared_cpu_map`]: "0000000f\n",
  });
  const root = writeTree(t, {
    ...cpu(0, 0),
    ...cpu(1, 0),
    ...cpu(2, 1),
    ...cpu(3, 1),
    "proc/cpuinfo":
      "physical id\t: 0\ncore id\t\t: 0\nphysical id\t: 0\ncore id\t\t: 1\nphysical id\t: 0\ncore id\t\t: 0\n",
    "proc/meminfo": "MemTotal:       1000 kB\nSwapTotal:        10 kB\n",
    "proc/sys/kernel/random/boot_id": "boot\n",
    "etc/machine-id": "machine\n",
    "sys/class/dmi/id/product_uuid": "uuid\n",
    "sys/devices/system/node/node0/meminfo": "Node 0 MemTotal:        900 kB\n",
    "sys/devices/system/node/node0/distance": "10 21\n",
    "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages": "4\n",
    "sys/devices/system/edac/mc/mc0/dimm0/dimm_mem_type": "Unbuffered-DDR4\n",
    "sys/devices/system/edac/mc/mc0/dimm0/size": "8192\n",
    "sys/devices/system/edac/mc/mc0/dimm1/dimm_mem_type": "Unbuffered-DDR4\n",
    "sys/devices/system/edac/mc/mc0/dimm1/size": "8192\n",
    "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "4\n",
    "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "0\n",
    "sys/kernel/mm/hugepages/hugepages-64kB/nr_hugepages": "0\n",
  });
  const machine = readMachine({ root, sysfs: join(root, "sys") });
  const { machineId, systemUuid, bootId, cores, physicalCores, sockets, memory, swap } = machine;
  assert.deepEqual(
    { machineId, systemUuid, bootId, cores, physicalCores, sockets, memory, swap },
    {
      machineId: "machine",
      systemUuid: "uuid",
      bootId: "boot",
      cores: 4,
      physicalCores: 2,
      sockets: 1,
      memory: 1_024_000,
      swap: 10_240,
    },
  );
  assert.deepEqual([...machine.modules], [["Unbuffered-DDR4", { count: 2, bytes: 16 * 2 ** 30 }]]);
  const [node] = machine.nodes;
  assert.equal(node?.memory, 900 * 1024);
  assert.deepEqual(node.distances, [10, 21]);
  assert.deepEqual(node.hugePages, [{ kibibytes: 2048, count: 4 }]);
  assert.deepEqual(
    node.cores.map((core) => core.caches.map(({ bytes }) => bytes)),
    [[32_768], [32_768]],
  );
  assert.deepEqual(
    node.caches.map(({ bytes, level }) => [bytes, level]),
    [[8 * 2 ** 20, 3]],
  );
  assert.deepEqual(hugePageSizes(join(root, "sys")).sort(), ["1GB", "2MB", "64KB"]);
});
