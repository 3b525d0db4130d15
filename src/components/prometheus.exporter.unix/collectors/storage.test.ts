import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NoDataError } from "../collector.ts";
import { FixtureHost } from "../testing.ts";
import { bcache, parseSize } from "./bcache.ts";
import { allocationRatio, btrfs } from "./btrfs.ts";
import { diskstats } from "./diskstats.ts";
import { mdadm, parseMdstat } from "./mdadm.ts";
import { nfs } from "./nfs.ts";
import { nfsd } from "./nfsd.ts";
import { nvme } from "./nvme.ts";
import { tapestats } from "./tapestats.ts";
import { xfs } from "./xfs.ts";
import { zfs } from "./zfs.ts";

test("diskstats: columns are scaled, udev tells what the disk is, partitions are left out", async () => {
  using host = new FixtureHost({
    "proc/diskstats": [
      "   8       0 sda 100 20 3000 400 50 60 7000 800 9 1000 1100 12 13 14 15 16 17",
      "   8       1 sda1 1 1 1 1 1 1 1 1 1 1 1",
      " 253       0 dm-0 5 0 10 2 0 0 0 0 0 2 2",
      "",
    ].join("\n"),
    "udev/b8:0": [
      "S:disk/by-id/ata-X",
      "E:ID_ATA=1",
      "E:ID_ATA_WRITE_CACHE=1",
      "E:ID_ATA_ROTATION_RATE_RPM=7200",
      "E:ID_MODEL=Disk Model=3",
      "E:ID_SERIAL_SHORT=S123",
      "E:ID_WWN=0x5000",
      "E:ID_PATH=pci-0000",
      "E:ID_REVISION=R1",
    ].join("\n"),
    "udev/b253:0":
      "E:DM_NAME=vg-root\nE:DM_UUID=LVM-1\nE:DM_VG_NAME=vg\nE:DM_LV_NAME=root\nE:ID_FS_TYPE=ext4\nE:ID_FS_USAGE=filesystem\n",
  });
  const lines = await host.collect(diskstats);
  for (const line of [
    'node_disk_info{device="sda",major="8",minor="0",path="pci-0000",wwn="0x5000",model="Disk Model=3",serial="S123",revision="R1"} 1',
    'node_disk_read_bytes_total{device="sda"} 1536000',
    'node_disk_read_time_seconds_total{device="sda"} 0.4',
    'node_disk_written_bytes_total{device="sda"} 3584000',
    'node_disk_io_now{device="sda"} 9',
    'node_disk_discarded_sectors_total{device="sda"} 14',
    'node_disk_flush_requests_time_seconds_total{device="sda"} 0.017',
    'node_disk_ata_write_cache{device="sda"} 1',
    'node_disk_ata_rotation_rate_rpm{device="sda"} 7200',
    'node_disk_filesystem_info{device="dm-0",type="ext4",usage="filesystem",uuid="",version=""} 1',
    'node_disk_device_mapper_info{device="dm-0",name="vg-root",uuid="LVM-1",vg_name="vg",lv_name="root",lv_layer=""} 1',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.equal(
    lines.some((line) => line.includes('"sda1"')),
    false,
  );
  assert.equal(
    lines.some((line) => line.startsWith('node_disk_discards_completed_total{device="dm-0"')),
    false,
  );
  assert.equal(
    lines.some((line) => line.includes("write_cache_enabled")),
    false,
  );

  const included = await host.collect(diskstats, 'disk { device_include = "^sda1$" }');
  assert.equal(
    included.filter((line) => line.startsWith("node_disk_reads_completed_total")).join(),
    'node_disk_reads_completed_total{device="sda1"} 1',
  );
});

const MDSTAT = `Personalities : [raid1] [raid6] [raid0]
md0 : active raid1 sdb1[1] sda1[0]
      1000 blocks super 1.2 [2/2] [UU]
      bitmap: 0/1 pages [0KB], 65536KB chunk

md1 : active raid6 sdf1[4](F) sde1[3] sdd1[2](S) sdc1[0]
      2000 blocks level 6, 64k chunk, algorithm 2 [4/3] [UU_U]
      [==>..................]  recovery = 12.6% (252/2000) finish=1.5min speed=19K/sec

md2 : active raid0 sdh1[1] sdg1[0]
      3000 blocks 256k chunks

md3 : inactive sdi1[0](S)
      4000 blocks super 1.2

md4 : active (auto-read-only) raid1 sdk1[1] sdj1[0]
      5000 blocks super 1.2 [2/2] [UU]
      \tresync=PENDING

unused devices: <none>
`;

test("mdadm: states, disks and blocks", async () => {
  using host = new FixtureHost({
    "proc/mdstat": MDSTAT,
  });
  const lines = await host.collect(mdadm);
  assert.deepEqual(
    parseMdstat(MDSTAT).map((array) => [
      array.name,
      array.activity,
      array.active,
      array.total,
      array.failed,
      array.spare,
      array.synced,
    ]),
    [
      ["md0", "active", 2, 2, 0, 0, 1000],
      ["md1", "recovering", 3, 4, 1, 1, 252],
      ["md2", "active", 2, 2, 0, 0, 3000],
      ["md3", "inactive", 0, 0, 0, 1, 4000],
      ["md4", "resyncing", 2, 2, 0, 0, 0],
    ],
  );
  assert.deepEqual(
    lines.filter((line) => line.includes('"md1"')),
    [
      'node_md_blocks_synced{device="md1"} 252',
      'node_md_blocks{device="md1"} 2000',
      'node_md_disks_required{device="md1"} 4',
      'node_md_disks{device="md1",state="active"} 3',
      'node_md_disks{device="md1",state="failed"} 1',
      'node_md_disks{device="md1",state="spare"} 1',
      'node_md_state{device="md1",state="active"} 0',
      'node_md_state{device="md1",state="check"} 0',
      'node_md_state{device="md1",state="inactive"} 0',
      'node_md_state{device="md1",state="recovering"} 1',
      'node_md_state{device="md1",state="resync"} 0',
    ],
  );
  using other = new FixtureHost({ "proc/x": "" });
  await assert.rejects(other.collect(mdadm), NoDataError);
});

test("xfs: lines of a mounted file system, not of the sums", async () => {
  using host = new FixtureHost({
    "sys/fs/xfs/sda1/stats/stats":
      "extent_alloc 1 2 3 4\nig 5 6 7 8 9 10 11\nrw 12 13\nvnodes 14 15 16 17 18 19 20 21\nxpc 99999999999 2 3\n",
    "sys/fs/xfs/stats/stats": "rw 1 1\n",
  });
  const lines = await host.collect(xfs);
  assert.equal(lines.length, 39);
  for (const line of [
    'node_xfs_extent_allocation_blocks_freed_total{device="sda1"} 4',
    'node_xfs_inode_operation_attribute_changes_total{device="sda1"} 11',
    'node_xfs_read_calls_total{device="sda1"} 13',
    'node_xfs_write_calls_total{device="sda1"} 12',
    'node_xfs_vnode_remove_total{device="sda1"} 20',
    'node_xfs_directory_operation_lookup_total{device="sda1"} 0',
  ]) {
    assert.ok(lines.includes(line), line);
  }
});

test("zfs: statistics, pools and data sets", async () => {
  const kstat = (rows: string) =>
    `6 1 0x01 91 4368 5266997922 97951858082072\nname                            type data\n${rows}`;
  using host = new FixtureHost({
    "proc/spl/kstat/zfs/arcstats": kstat(
      "hits                            4    8772612\nmemory_available_bytes          3    -922337\n",
    ),
    "proc/spl/kstat/zfs/tank/io":
      "12 3 0x00 1 80 79205351707403 395818011156865\nnread nwritten reads writes wtime wlentime wupdate rtime rlentime rupdate wcnt rcnt\n1884160 3206144 22 132 7155162 104112268 79210489694949 24168078 104112268 79210489849220 0 0\n",
    "proc/spl/kstat/zfs/tank/objset-1": kstat(
      "dataset_name                    7    tank/my data\nwrites                          4    4\n",
    ),
    "proc/spl/kstat/zfs/tank/state": "DEGRADED\n",
  });
  const lines = await host.collect(zfs);
  for (const line of [
    "node_zfs_arc_hits 8772612",
    "node_zfs_arc_memory_available_bytes -922337",
    'node_zfs_zpool_nread{zpool="tank"} 1884160',
    'node_zfs_zpool_dataset_writes{zpool="tank",dataset="tank/my data"} 4',
    'node_zfs_zpool_state{zpool="tank",state="degraded"} 1',
    'node_zfs_zpool_state{zpool="tank",state="online"} 0',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.equal(lines.length, 2 + 12 + 1 + 7);
});

test("btrfs: allocation and devices", async () => {
  const root = "sys/fs/btrfs/0abb23a9-579b-43e6-ad30-227ef47fcb9d";
  const tree: Record<string, string> = {
    [`${root}/label`]: "fixture\n",
    [`${root}/metadata_uuid`]: "0abb23a9-579b-43e6-ad30-227ef47fcb9d\n",
    [`${root}/allocation/global_rsv_size`]: "16777216\n",
    [`${root}/devices/loop1/size`]: "20971520\n",
    [`${root}/devices/loop2/size`]: "20971520\n",
    [`${root}/devices/loop3/size`]: "20971520\n",
    "sys/fs/btrfs/features/raid56": "0\n",
  };
  for (const type of ["data", "metadata", "system"]) {
    tree[`${root}/allocation/${type}/bytes_reserved`] = "4096\n";
    tree[`${root}/allocation/${type}/raid5/total_bytes`] = "2147483648\n";
    tree[`${root}/allocation/${type}/raid5/used_bytes`] = "808189952\n";
  }
  using host = new FixtureHost(tree);
  const lines = (await host.collect(btrfs)).map((line) =>
    line.replace('uuid="0abb23a9-579b-43e6-ad30-227ef47fcb9d"', "U"),
  );
  for (const line of [
    'node_btrfs_info{U,label="fixture"} 1',
    'node_btrfs_allocation_ratio{U,block_group_type="data",mode="raid5"} 1.5',
    'node_btrfs_used_bytes{U,block_group_type="system",mode="raid5"} 808189952',
    'node_btrfs_reserved_bytes{U,block_group_type="metadata"} 4096',
    'node_btrfs_device_size_bytes{U,device="loop2"} 10737418240',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.deepEqual(
    ["single", "dup", "raid1c3", "raid1c4", "new"].map((mode) => allocationRatio(mode, 1)),
    [1, 2, 3, 4, 0],
  );
  assert.equal(allocationRatio("raid6", 4), 2);
});

test("bcache: sizes in bcache's own notation", async () => {
  const root = "sys/fs/bcache/deaddd54-c735-46d5-868e-f331c5fd7c74";
  using host = new FixtureHost({
    [`${root}/average_key_size`]: "0\n",
    [`${root}/btree_cache_size`]: "1.3M\n",
    [`${root}/internal/btree_read_average_duration_us`]: "1305\n",
    [`${root}/bdev0/dirty_data`]: "0\n",
    [`${root}/bdev0/writeback_rate_debug`]:
      "rate:\t\t1.1M/sec\ndirty:\t\t20.4G\ntarget:\t\t20.4G\nproportional:\t427.5k\nintegral:\t790.0k\nchange:\t\t-321.5k/sec\nnext io:\t17ms\n",
    [`${root}/bdev0/stats_total/bypassed`]: "4.0k\n",
    [`${root}/bdev0/stats_total/cache_hits`]: "546\n",
    [`${root}/cache0/io_errors`]: "0\n",
    [`${root}/cache0/written`]: "512\n",
    [`${root}/cache0/priority_stats`]: "Unused:\t\t99%\nClean:\t0%\nMetadata:\t5%\nAverage:\t10473\n",
  });
  const lines = (await host.collect(bcache, "bcache { priority_stats = true }")).map((line) =>
    line.replace('uuid="deaddd54-c735-46d5-868e-f331c5fd7c74"', "U"),
  );
  for (const line of [
    "node_bcache_btree_read_average_duration_seconds{U} 1.305e-06",
    'node_bcache_bypassed_bytes_total{U,backing_device="bdev0"} 4096',
    `node_bcache_writeback_change{U,backing_device="bdev0"} ${parseSize("-321.5k")}`,
    `node_bcache_writeback_rate{U,backing_device="bdev0"} ${parseSize("1.1M")}`,
    'node_bcache_priority_stats_unused_percent{U,cache_device="cache0"} 99',
    'node_bcache_cache_misses_total{U,backing_device="bdev0"} 0',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.equal(
    lines.some((line) => line.includes("readaheads")),
    false,
  );
  assert.equal(
    (await host.collect(bcache)).some((line) => line.includes("priority_stats")),
    false,
  );
});

test("bcache: a size is read or refused, never NaN", () => {
  assert.equal(parseSize("1.5k"), Math.trunc((1 + 5 / 10.24) * 1024));
  assert.equal(parseSize("542k"), 542 * 1024);
  assert.equal(parseSize("-2.0M"), -2 * 1024 ** 2);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^-?[0-9]{1,4}(\.[0-9])?[kMG]?$/)), (text) => {
      let value: number;
      try {
        value = parseSize(text);
      } catch {
        return;
      }
      assert.ok(Number.isFinite(value));
    }),
  );
});

test("nvme and tapes", async () => {
  using host = new FixtureHost({
    "sys/class/nvme/nvme0/firmware_rev": "1B2QEXP7\n",
    "sys/class/nvme/nvme0/model": "Samsung SSD 970 PRO 512GB               \n",
    "sys/class/nvme/nvme0/serial": "S680HF8N190894I     \n",
    "sys/class/nvme/nvme0/state": "live\n",
    ...Object.fromEntries(
      [
        "in_flight",
        "io_ns",
        "other_cnt",
        "read_byte_cnt",
        "read_cnt",
        "read_ns",
        "resid_cnt",
        "write_byte_cnt",
        "write_cnt",
        "write_ns",
      ].map((name, i) => [`sys/class/scsi_tape/st0/stats/${name}`, `${(i + 1) * 1_000_000_000}\n`]),
    ),
    "sys/class/scsi_tape/nst0/stats/in_flight": "1\n",
  });
  assert.deepEqual(await host.collect(nvme), [
    'node_nvme_info{device="nvme0",firmware_revision="1B2QEXP7",model="Samsung SSD 970 PRO 512GB",serial="S680HF8N190894I",state="live"} 1',
  ]);
  const tapes = await host.collect(tapestats);
  assert.equal(tapes.length, 10);
  assert.ok(tapes.includes('node_tape_io_time_seconds_total{device="st0"} 2'));
  assert.ok(tapes.includes('node_tape_written_bytes_total{device="st0"} 8000000000'));
  assert.deepEqual(await host.collect(tapestats, 'tapestats { ignored_devices = "st" }'), []);
});

test("nfs and nfsd: procedures by version", async () => {
  const counts = (kind: string, n: number) => `${kind} ${n} ${Array.from({ length: n }, (_, i) => i).join(" ")}\n`;
  using host = new FixtureHost({
    "proc/net/rpc/nfs": `net 70 69 68 67\nrpc 1218785755 374636 1218815394\n${counts("proc2", 18)}${counts("proc3", 22)}${counts("proc4", 48)}`,
    "proc/net/rpc/nfsd":
      "rc 0 6 18622\nfh 5 0 0 0 0\nio 157286400 72864\nth 8 0 0.000 0.000\nra 32 0 0 0 0 0 0 0 0 0 0 7\nnet 972 55 917 1\nrpc 18628 3 1 2 4\n" +
      `${counts("proc2", 18)}${counts("proc3", 22)}${counts("proc4", 2)}${counts("proc4ops", 40)}wdeleg_getattr 16\n`,
  });
  const client = await host.collect(nfs);
  for (const line of [
    'node_nfs_packets_total{protocol="tcp"} 68',
    "node_nfs_connections_total 67",
    "node_nfs_rpc_authentication_refreshes_total 1218815394",
    'node_nfs_requests_total{proto="2",method="FsStat"} 17',
    'node_nfs_requests_total{proto="3",method="Null"} 0',
    'node_nfs_requests_total{proto="4",method="LayoutReturn"} 47',
    'node_nfs_requests_total{proto="4",method="Clone"} 0',
  ]) {
    assert.ok(client.includes(line), line);
  }
  const server = await host.collect(nfsd);
  for (const line of [
    "node_nfsd_reply_cache_nocache_total 18622",
    "node_nfsd_server_threads 8",
    "node_nfsd_read_ahead_cache_not_found_total 7",
    'node_nfsd_rpc_errors_total{error="cInt"} 4',
    'node_nfsd_requests_total{proto="2",method="GetAttr"} 1',
    'node_nfsd_requests_total{proto="4",method="Access"} 3',
    'node_nfsd_requests_total{proto="4",method="RelLockOwner"} 39',
  ]) {
    assert.ok(server.includes(line), `${line}\nis not in\n${server.join("\n")}`);
  }
});
