import assert from "node:assert/strict";
import { test } from "node:test";
import { findCgroupMounts } from "./cgroup-mounts.ts";
import { parseMount } from "./mounts.ts";

test("lines of mountinfo", () => {
  const line = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue";
  assert.deepEqual(parseMount(line), {
    device: "/dev/root",
    mountPoint: "/mnt 2",
    type: "ext3",
    readOnly: false,
    major: "98",
    minor: "0",
    superOptions: ["rw", "errors=continue"],
  });
  assert.equal(parseMount("36 35 98:0 / /x ro - ext3 /dev/root rw").readOnly, true);
  assert.equal(parseMount("36 35 98:0 / /x rw - ext3 /dev/root ro").readOnly, true);
  assert.throws(() => parseMount("36 35 98:0 / /x rw"), /unexpected line in mountinfo/);
});

test("control groups of version 1 have a folder for each controller", () => {
  const mounts = findCgroupMounts(
    [
      "27 1 254:0 / / rw - ext4 /dev/vda rw",
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
      "33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd",
      "35 31 0:32 / /elsewhere rw,relatime - cgroup cgroup rw,cpu,cpuacct",
      "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
    ].join("\n"),
  );
  assert.equal(mounts?.version, 1);
  const folder = "/sys/fs/cgroup/cpu,cpuacct";
  assert.deepEqual(
    [...mounts.folders],
    [
      ["cpu", folder],
      ["cpuacct", folder],
    ],
  );
});

test("those of version 2 have one", () => {
  const line = "36 31 0:33 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  assert.deepEqual(findCgroupMounts(line), { version: 2, folders: new Map([["", "/sys/fs/cgroup"]]) });
  assert.equal(findCgroupMounts("27 1 254:0 / / rw - ext4 /dev/vda rw"), undefined);
});
