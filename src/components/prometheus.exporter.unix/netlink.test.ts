import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import { Page } from "#kits/exporter/page";
import { arp, countNeighbours } from "./collectors/arp.ts";
import { createNetworkRoute, networkRoute } from "./collectors/network-route.ts";
import { createQdisc, qdisc } from "./collectors/qdisc.ts";
import { createTcpstat } from "./collectors/tcpstat.ts";
import { openLibc, requireLibc, wallClock } from "./libc.ts";
import { FakeNetlink, links, message, nested, number, text } from "./netlink.testing.ts";
import { linkNames, NETLINK_ROUTE, NetlinkSocket, readAttributes, writeAttribute } from "./netlink.ts";
import { FixtureHost, sampleLines } from "./testing.ts";

const GETLINK = 18;
const libc = openLibc();
const skip = libc === undefined;

async function collect(collector: { collect(page: Page): unknown }): Promise<string[]> {
  const page = new Page();
  await collector.collect(page);
  return sampleLines(page);
}

test("attributes are read back as they were written, and damaged ones are refused", () => {
  const attributes = fc.uniqueArray(fc.tuple(fc.nat(0x3fff), fc.uint8Array({ maxLength: 40 })), {
    selector: ([type]) => type,
  });
  fc.assert(
    fc.property(attributes, fc.nat(60), (all, cut) => {
      const bytes = Buffer.concat(all.map(([type, value]) => writeAttribute(type, Buffer.from(value))));
      const read = readAttributes(bytes);
      assert.deepEqual(
        [...read.keys()],
        all.map(([type]) => type),
      );
      for (const [type, value] of all) assert.deepEqual([...read.get(type)!], [...value]);
      try {
        readAttributes(bytes.subarray(0, Math.max(0, bytes.length - cut)));
      } catch (error) {
        assert.match((error as Error).message, /cut off/);
      }
    }),
  );
});

test("a Node that cannot make system calls says what to do, and tells the time to the millisecond", () => {
  assert.throws(
    () => requireLibc("take qdisc out of enable_collectors", () => undefined),
    /^Error: Node v\S+ cannot make the system calls that it needs; run the agent on Node 26 or newer, or take qdisc out of/,
  );
  assert.equal(
    wallClock(undefined, () => 1_700_000_000_123),
    1_700_000_000_123_000_000n,
  );
  assert.ok(Math.abs(Number(wallClock(libc, Date.now) / 1_000_000n) - Date.now()) < 5_000);
});

test("the kernel of this machine tells of its devices, routes and queues", { skip }, async () => {
  using netlink = new NetlinkSocket(libc!, NETLINK_ROUTE);
  const names = new Set((await linkNames(netlink)).values());
  for (const name of Object.keys(networkInterfaces())) assert.ok(names.has(name), name);
  await assert.rejects(netlink.dump(0x7777, Buffer.alloc(16)), { code: "ENOTSUP" });
  using host = new FixtureHost({});
  const options = host.options("arp { netlink = true }");
  await collect(qdisc.create(options));
  await collect(arp.create(options));
  for (const line of await collect(networkRoute.create(options))) assert.match(line, /^node_network_route/);
});

test("the kernel of this machine counts sockets as /proc/net/tcp does", { skip }, async () => {
  using host = new FixtureHost({});
  host.write("proc/net/tcp6", "");
  const listening = (lines: readonly string[]) => lines.find((line) => line.includes('"listen"'));
  const asked = await collect(createTcpstat(host.options().files, (protocol) => new NetlinkSocket(libc!, protocol)));
  host.write("proc/net/tcp", readFileSync("/proc/net/tcp", "utf8"));
  host.write("proc/net/tcp6", readFileSync("/proc/net/tcp6", "utf8"));
  const read = await collect(createTcpstat(host.options().files, undefined));
  assert.equal(listening(asked) === undefined, listening(read) === undefined);
});

test("tcpstat: both versions of IP are asked; without the kernel's part for it, the files are read", async () => {
  using host = new FixtureHost({ "proc/net/tcp": "", "proc/net/tcp6": "" });
  const socket = (state: number, received: number, sent: number) =>
    message(72, [
      [1, 1, state],
      [56, 4, received],
      [60, 4, sent],
    ]);
  const fake = new FakeNetlink((_, body) =>
    body[0] === 2 ? [socket(1, 3, 4), socket(10, 0, 128)] : [socket(12, 5, 0)],
  );
  assert.deepEqual(await collect(createTcpstat(host.options().files, () => fake)), [
    'node_tcp_connection_states{state="established"} 1',
    'node_tcp_connection_states{state="listen"} 1',
    'node_tcp_connection_states{state="rx_queued_bytes"} 8',
    'node_tcp_connection_states{state="tx_queued_bytes"} 132',
    'node_tcp_connection_states{state="unknown"} 1',
  ]);
  assert.equal(fake.closed, 1);
  const none = new FakeNetlink(() => Object.assign(new Error("no"), { code: "ENOENT" }));
  assert.equal((await collect(createTcpstat(host.options().files, () => none))).length, 2);
  const broken = new FakeNetlink(() => Object.assign(new Error("no buffers"), { code: "ENOBUFS" }));
  await assert.rejects(collect(createTcpstat(host.options().files, () => broken)), /no buffers/);
});

test("arp: neighbours of IPv4 by device, but for those that need no resolution", async () => {
  const neighbour = (family: number, device: number, state: number) =>
    message(12, [
      [0, 1, family],
      [4, 4, device],
      [8, 2, state],
    ]);
  const table = [
    neighbour(2, 2, 2),
    neighbour(2, 2, 4),
    neighbour(2, 1, 0x40),
    neighbour(10, 2, 2),
    neighbour(2, 9, 2),
  ];
  const fake = new FakeNetlink((type) => (type === GETLINK ? links("lo", "eth0") : table));
  assert.deepEqual([...(await countNeighbours(fake))], [["eth0", 2]]);
});

test("qdisc: the root of each device", async () => {
  const queue = Buffer.alloc(20);
  for (const [i, value] of [1, 2, 3, 4, 5].entries()) queue.writeUInt32LE(value, 4 * i);
  const basic = Buffer.alloc(12);
  basic.writeBigUInt64LE(2n ** 40n);
  basic.writeUInt32LE(77, 8);
  const statistics = nested(7, writeAttribute(1, basic), writeAttribute(3, queue));
  const kind = (device: number, parent: number, ...rest: readonly Buffer[]) =>
    message(
      20,
      [
        [4, 4, device],
        [12, 4, parent],
      ],
      ...rest,
    );
  const all = [
    kind(2, 0xffffffff, text(1, "fq_codel"), statistics),
    kind(2, 0x10001, text(1, "pfifo")),
    kind(1, 0, text(1, "noqueue")),
  ];
  const fake = new FakeNetlink((type) => (type === GETLINK ? links("lo", "eth0") : all));
  const lines = await collect(createQdisc(() => fake));
  assert.equal(lines.length, 14);
  const labels = '{device="eth0",kind="fq_codel"}';
  for (const line of [
    `node_qdisc_bytes_total${labels} ${2 ** 40}`,
    `node_qdisc_packets_total${labels} 77`,
    `node_qdisc_current_queue_length${labels} 1`,
    `node_qdisc_backlog${labels} 2`,
    `node_qdisc_drops_total${labels} 3`,
    `node_qdisc_requeues_total${labels} 4`,
    `node_qdisc_overlimits_total${labels} 5`,
    'node_qdisc_drops_total{device="lo",kind="noqueue"} 0',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
});

test("network_route: unicast routes of both versions of IP, and each next hop of a route", async () => {
  const route = (prefix: number, protocol: number, type: number, ...attributes: readonly Buffer[]) =>
    message(
      12,
      [
        [1, 1, prefix],
        [5, 1, protocol],
        [7, 1, type],
      ],
      ...attributes,
    );
  const ip = (type: number, ...bytes: readonly number[]) => writeAttribute(type, Buffer.from(bytes));
  const hop = (device: number, weight: number, gateway: Buffer) => {
    const header = Buffer.alloc(8);
    header.writeUInt16LE(8 + gateway.length, 0);
    header[3] = weight - 1;
    header.writeInt32LE(device, 4);
    return Buffer.concat([header, gateway]);
  };
  const hops = writeAttribute(9, Buffer.concat([hop(1, 3, ip(5, 10, 0, 0, 2)), hop(2, 5, ip(5, 10, 0, 0, 3))]));
  const v6 = [0x20, 1, 0xd, 0xb8, ...Array.from({ length: 12 }, () => 0)];
  const main = route(0, 16, 1, number(4, 2), ip(5, 10, 0, 0, 1), ip(7, 10, 0, 0, 9), number(6, 100));
  const routes = [
    main,
    main,
    route(32, 2, 2, ip(1, 10, 0, 0, 9), number(4, 2)),
    route(16, 4, 1, ip(1, 10, 98, 0, 0), hops),
    route(32, 99, 1, ip(1, ...v6), number(4, 7)),
  ];
  const fake = new FakeNetlink((type) => (type === GETLINK ? links("lo", "eth0") : routes));
  assert.deepEqual(await collect(createNetworkRoute(() => fake)), [
    'node_network_route_info{device="",src="",dest="2001:db8::/32",gw="",priority="0",proto="unknown",weight=""} 1',
    'node_network_route_info{device="eth0",src="",dest="10.98.0.0/16",gw="10.0.0.3",priority="0",proto="static",weight="5"} 1',
    'node_network_route_info{device="eth0",src="10.0.0.9",dest="default",gw="10.0.0.1",priority="100",proto="dhcp",weight=""} 1',
    'node_network_route_info{device="lo",src="",dest="10.98.0.0/16",gw="10.0.0.2",priority="0",proto="static",weight="3"} 1',
    'node_network_routes{device=""} 1',
    'node_network_routes{device="eth0"} 3',
    'node_network_routes{device="lo"} 1',
  ]);
});
