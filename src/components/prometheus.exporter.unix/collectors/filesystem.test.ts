import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "#base/clock";
import { Page } from "#kits/exporter/page";
import { FixtureHost, sampleLines } from "../testing.ts";
import { FilesystemCollector } from "./filesystem.ts";

const MOUNTS = [
  "22 27 0:21 / /proc rw,relatime - proc proc rw",
  "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard",
  "30 27 0:40 / /mnt/my\\040data ro,nosuid - nfs4 server:/data rw,vers=4.2",
  "31 27 0:40 / /mnt/my\\040data ro,nosuid - nfs4 server:/data rw,vers=4.2",
  "32 27 0:41 / /mnt/b rw - nfs4 server:/b ro",
  "33 27 0:42 / /mnt/c rw - nfs4 server:/c rw",
];
const ANSWER = { bsize: 4096, blocks: 100, bfree: 50, bavail: 40, files: 10, ffree: 5 };

/** A clock whose sleepers wake when told to. */
function manualClock(): Clock & { wake(): void } {
  const sleepers = new Set<() => void>();
  return {
    now: () => 0,
    monotonic: () => 0,
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        sleepers.add(resolve);
        signal?.addEventListener("abort", () => (sleepers.delete(resolve), reject(signal.reason)), { once: true });
      }),
    wake() {
      for (const resolve of sleepers) resolve();
      sleepers.clear();
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("sizes, read-only flags and errors of mounts; filters; each mount once", async () => {
  using host = new FixtureHost({ "proc/1/mountinfo": `${MOUNTS.join("\n")}\n` });
  const asked: string[] = [];
  const collector = new FilesystemCollector(host.options(), async (path) => {
    asked.push(path.replace(`${host.root}/root`, ""));
    if (path.endsWith("/mnt/c")) throw new Error("EACCES: permission denied, statfs '/mnt/c'");
    return ANSWER;
  });
  const page = new Page();
  await collector.collect(page);
  assert.deepEqual(asked.sort(), ["/", "/mnt/b", "/mnt/c", "/mnt/my data"]);
  const lines = sampleLines(page);
  const labels = (device: string, at: string, type: string) =>
    `{device="${device}",mountpoint="${at}",fstype="${type}"}`;
  for (const line of [
    `node_filesystem_size_bytes${labels("/dev/vda", "/", "ext4")} 409600`,
    `node_filesystem_avail_bytes${labels("/dev/vda", "/", "ext4")} 163840`,
    `node_filesystem_files_free${labels("/dev/vda", "/", "ext4")} 5`,
    `node_filesystem_readonly${labels("/dev/vda", "/", "ext4")} 0`,
    `node_filesystem_readonly${labels("server:/data", "/mnt/my data", "nfs4")} 1`,
    `node_filesystem_readonly${labels("server:/b", "/mnt/b", "nfs4")} 1`,
    `node_filesystem_device_error${labels("server:/c", "/mnt/c", "nfs4")} 1`,
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.equal(
    lines.some((line) => line.startsWith("node_filesystem_size_bytes") && line.includes("/mnt/c")),
    false,
  );
  assert.equal(
    lines.some((line) => line.includes("proc")),
    false,
  );

  const config = 'filesystem {\n mount_points_exclude = "^/mnt"\n fs_types_exclude = ""\n}';
  const filtered = new Page();
  await new FilesystemCollector(host.options(config), async () => ANSWER).collect(filtered);
  const points = new Set(sampleLines(filtered).map((line) => /mountpoint="([^"]*)"/.exec(line)![1]));
  assert.deepEqual([...points].sort(), ["/", "/proc"]);
});

test("a mount that hangs is reported and left alone until it answers", async () => {
  using host = new FixtureHost({ "proc/self/mountinfo": `${[MOUNTS[1], MOUNTS[4]].join("\n")}\n` });
  const clock = manualClock();
  let answer: (() => void) | undefined;
  let calls = 0;
  const collector = new FilesystemCollector(host.options("", clock), (path) => {
    if (!path.endsWith("/mnt/b")) return Promise.resolve(ANSWER);
    calls++;
    return new Promise((resolve) => {
      answer = () => resolve(ANSWER);
    });
  });
  const errors = async (wake: boolean) => {
    const page = new Page();
    const done = collector.collect(page);
    await turn();
    if (wake) clock.wake();
    await done;
    return sampleLines(page)
      .filter((line) => line.startsWith("node_filesystem_device_error") && line.includes("/mnt/b"))
      .map((line) => line.at(-1));
  };
  assert.deepEqual(await errors(true), ["1"]);
  assert.deepEqual(await errors(false), ["1"]);
  assert.equal(calls, 1);
  answer!();
  await turn();
  assert.deepEqual(
    host.logs.map(({ message }) => message),
    [
      "mount point does not respond; it is left alone until it does",
      "cannot get the usage of a mount point",
      "mount point responds again",
    ],
  );
  const page = new Page();
  const done = collector.collect(page);
  await turn();
  answer!();
  await done;
  assert.equal(calls, 2);
  assert.ok(sampleLines(page).some((line) => line.startsWith("node_filesystem_size_bytes") && line.includes("/mnt/b")));
});

test("scrapes at the same time share the calls, and a mount that hangs does not hide the others", async () => {
  const healthy = Array.from({ length: 5 }, (_, i) => `4${i} 27 8:${i} / /mnt/h${i} rw - ext4 /dev/sd${i} rw`);
  using host = new FixtureHost({ "proc/1/mountinfo": `${[MOUNTS[4], ...healthy].join("\n")}\n` });
  const clock = manualClock();
  let calls = 0;
  const collector = new FilesystemCollector(host.options("", clock), async (path) => {
    calls++;
    if (path.endsWith("/mnt/b")) return new Promise(() => {});
    await turn();
    return ANSWER;
  });
  const pages = [new Page(), new Page(), new Page()];
  const first = Promise.all(pages.slice(0, 2).map((page) => collector.collect(page)));
  for (let i = 0; i < 20; i++) await turn();
  clock.wake();
  await first;
  assert.equal(calls, 6);
  await collector.collect(pages[2]!);
  assert.equal(calls, 11);
  for (const page of pages) {
    const failed = sampleLines(page).filter((line) => /^node_filesystem_device_error.* 1$/.test(line));
    assert.equal(failed.length, 1);
    assert.match(failed[0]!, /mountpoint="\/mnt\/b"/);
  }
});

test("mounts that hang never take more than two calls, and the scrape ends", async () => {
  const hung = Array.from({ length: 6 }, (_, i) => `4${i} 27 0:5${i} / /mnt/h${i} rw - nfs4 server:/h${i} rw`);
  using host = new FixtureHost({ "proc/1/mountinfo": `${hung.join("\n")}\n` });
  const clock = manualClock();
  let calls = 0;
  const collector = new FilesystemCollector(host.options("", clock), () => {
    calls++;
    return new Promise(() => {});
  });
  const page = new Page();
  let done = false;
  const collecting = collector.collect(page).then(() => {
    done = true;
  });
  for (let i = 0; i < 10 && !done; i++) {
    await turn();
    clock.wake();
  }
  await collecting;
  assert.equal(calls, 2);
  assert.equal(sampleLines(page).filter((line) => line.startsWith("node_filesystem_device_error")).length, 6);
});

test("mount points are named as the host names them", async () => {
  using host = new FixtureHost({});
  host.write("proc/1/mountinfo", `36 35 98:0 /mnt1 ${host.root}/root/mnt2 rw,noatime master:1 - ext3 /dev/root rw\n`);
  const asked: string[] = [];
  const collector = new FilesystemCollector(host.options(), async (path) => {
    asked.push(path);
    return ANSWER;
  });
  const page = new Page();
  await collector.collect(page);
  assert.deepEqual(asked, [`${host.root}/root/mnt2`]);
  const line = 'node_filesystem_files{device="/dev/root",mountpoint="/mnt2",fstype="ext3"} 10';
  assert.ok(sampleLines(page).includes(line));
});
