import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Page, untyped } from "#kits/exporter/page";
import { NoDataError } from "../collector.ts";
import { eachField } from "../files.ts";
import { FixtureHost } from "../testing.ts";
import { arp } from "./arp.ts";
import { bonding } from "./bonding.ts";
import { conntrack } from "./conntrack.ts";
import { ipvs, parseBackends } from "./ipvs.ts";
import { netclass } from "./netclass.ts";
import { netdev, scopeOf } from "./netdev.ts";
import { LinePairs, netstat } from "./netstat.ts";
import { sockstat } from "./sockstat.ts";
import { softnet } from "./softnet.ts";
import { udpQueues } from "./udp-queues.ts";

test("arp: entries by device", async () => {
  const row = (address: string, device: string) =>
    `${address}      0x1         0x2         cc:aa:dd:ee:aa:bb     *        ${device}\n`;
  using host = new FixtureHost({
    "proc/net/arp": `IP address       HW type     Flags       HW address            Mask     Device\n${row("192.168.1.1", "eth0")}${row("192.168.1.2", "eth0")}${row("10.0.0.1", "docker0")}`,
  });
  assert.deepEqual(await host.collect(arp), [
    'node_arp_entries{device="docker0"} 1',
    'node_arp_entries{device="eth0"} 2',
  ]);
  assert.deepEqual(await host.collect(arp, 'arp { device_exclude = "^docker" }'), [
    'node_arp_entries{device="eth0"} 2',
  ]);
});

test("bonding: members that are up, under the new and the old name of the link", async () => {
  using host = new FixtureHost({
    "sys/class/net/bonding_masters": "bond0 dmz\n",
    "sys/class/net/bond0/bonding/slaves": "eth0 eth4\n",
    "sys/class/net/bond0/lower_eth0/bonding_slave/mii_status": "up\n",
    "sys/class/net/bond0/slave_eth4/bonding_slave/mii_status": "down\n",
    "sys/class/net/dmz/bonding/slaves": "\n",
  });
  assert.deepEqual(await host.collect(bonding), [
    'node_bonding_active{master="bond0"} 1',
    'node_bonding_active{master="dmz"} 0',
    'node_bonding_slaves{master="bond0"} 2',
    'node_bonding_slaves{master="dmz"} 0',
  ]);
});

test("conntrack: sums over CPUs", async () => {
  using host = new FixtureHost({
    "proc/sys/net/netfilter/nf_conntrack_count": "123\n",
    "proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
    "proc/net/stat/nf_conntrack":
      "entries searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error expect_new expect_create expect_delete search_restart\n" +
      "00000021 00000000 00000010 00000000 00000003 0000588a 00000000 00000000 00000000 00000001 00000002 00000000 00000000 00000000 00000000 00000000 00000000\n" +
      "00000021 00000000 00000001 00000000 00000002 000056a4 00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000000 00000000 00000000 00000002\n",
  });
  const lines = await host.collect(conntrack);
  for (const line of [
    "node_nf_conntrack_entries 123",
    "node_nf_conntrack_entries_limit 65536",
    "node_nf_conntrack_stat_found 17",
    "node_nf_conntrack_stat_invalid 5",
    `node_nf_conntrack_stat_ignore ${0x588a + 0x56a4}`,
    "node_nf_conntrack_stat_search_restart 2",
  ]) {
    assert.ok(lines.includes(line), line);
  }
  using bare = new FixtureHost({ "proc/x": "" });
  await assert.rejects(bare.collect(conntrack), NoDataError);
});

const IP_VS = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0A80016:0CEA wlc
  -> C0A85216:0CEA      Tunnel  100    248        2
  -> C0A85318:0CEA      Tunnel  100    248        2
TCP  [26200000000000000000000000000001]:0050 wlc
FWM  10001000 wlc
  -> C0A8321A:0CEA      Route   0      0          1
TCP  [2620:0000:0000:0000:0000:0000:0000:0001]:0050 sh
  -> [2620:0000:0000:0000:0000:0000:0000:0002]:0050      Route   1      0          3
`.replace(/^TCP {2}\[262000.*\n/m, "");

test("ipvs: totals and back ends", async () => {
  using host = new FixtureHost({
    "proc/net/ip_vs_stats":
      "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n 16AA370 E33656E5        0     51D8C8883AB3        0\n\n Conns/s Pkts/s\n",
    "proc/net/ip_vs": IP_VS,
  });
  const lines = await host.collect(ipvs);
  for (const line of [
    `node_ipvs_connections_total ${0x16aa370}`,
    `node_ipvs_incoming_bytes_total ${0x51d8c8883ab3}`,
    'node_ipvs_backend_connections_active{local_address="192.168.0.22",local_port="3306",remote_address="192.168.82.22",remote_port="3306",proto="TCP",local_mark=""} 248',
    'node_ipvs_backend_connections_inactive{local_address="",local_port="0",remote_address="192.168.50.26",remote_port="3306",proto="FWM",local_mark="10001000"} 1',
    'node_ipvs_backend_connections_inactive{local_address="2620::1",local_port="80",remote_address="2620::2",remote_port="80",proto="TCP",local_mark=""} 3',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  const summed = await host.collect(ipvs, 'ipvs { backend_labels = ["local_port"] }');
  assert.deepEqual(
    summed.filter((line) => line.startsWith("node_ipvs_backend_weight")),
    [
      'node_ipvs_backend_weight{local_port="0"} 0',
      'node_ipvs_backend_weight{local_port="3306"} 200',
      'node_ipvs_backend_weight{local_port="80"} 1',
    ],
  );
  assert.equal(parseBackends(IP_VS).length, 4);
});

test("netclass: attributes, and what a device that is down does not have", async () => {
  const root = "sys/class/net/eth0";
  using host = new FixtureHost({
    "sys/class/net/bonding_masters": "bond0\n",
    [`${root}/operstate`]: "up\n",
    [`${root}/address`]: "01:01:01:01:01:01\n",
    [`${root}/flags`]: "0x1303\n",
    [`${root}/ifindex`]: "2\n",
    [`${root}/dev_id`]: "0x20\n",
    [`${root}/speed`]: "1000\n",
    [`${root}/carrier_changes`]: "2\n",
    "sys/class/net/lo/operstate": "unknown\n",
    "sys/class/net/lo/speed": "-1\n",
  });
  assert.deepEqual(await host.collect(netclass), [
    'node_network_carrier_changes_total{device="eth0"} 2',
    'node_network_device_id{device="eth0"} 32',
    'node_network_flags{device="eth0"} 4867',
    'node_network_iface_id{device="eth0"} 2',
    'node_network_info{device="eth0",address="01:01:01:01:01:01",broadcast="",duplex="",operstate="up",adminstate="up",ifalias=""} 1',
    'node_network_info{device="lo",address="",broadcast="",duplex="",operstate="unknown",adminstate="unknown",ifalias=""} 1',
    'node_network_speed_bytes{device="eth0"} 125000000',
    'node_network_speed_bytes{device="lo"} -125000',
    'node_network_up{device="eth0"} 1',
    'node_network_up{device="lo"} 0',
  ]);
  const config = 'netclass {\n ignore_invalid_speed_device = true\n ignored_devices = "^eth"\n}';
  assert.equal((await host.collect(netclass, config)).join("\n").match(/speed|eth0/), null);
});

test("netdev: columns, filters and odd names", async () => {
  using host = new FixtureHost({
    "proc/net/dev":
      "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n" +
      "vethf345468:     648       8    0    0    0     0          0         0      438       5    0    0    0     0       0          0\n" +
      "  eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
  });
  const lines = await host.collect(netdev);
  assert.equal(lines.length, 32);
  for (const line of [
    'node_network_receive_bytes_total{device="vethf345468"} 648',
    'node_network_receive_multicast_total{device="eth0:1"} 8',
    'node_network_transmit_colls_total{device="eth0:1"} 14',
    'node_network_transmit_compressed_total{device="eth0:1"} 16',
  ]) {
    assert.ok(lines.includes(line), line);
  }
  assert.equal((await host.collect(netdev, 'netdev { device_exclude = "^veth" }')).length, 16);
  assert.equal((await host.collect(netdev, 'netdev { device_include = "^veth" }')).length, 16);
  const scopes: [string, string][] = [
    ["127.0.0.1", "link-local"],
    ["169.254.1.1", "link-local"],
    ["192.168.1.1", "global"],
    ["239.0.0.1", ""],
    ["::1", "link-local"],
    ["fe80::1", "link-local"],
    ["ff01::1", "interface-local"],
    ["2001:db8::1", "global"],
  ];
  for (const [address, scope] of scopes) assert.equal(scopeOf(address), scope, address);
});

test("netstat: the fields that are wanted, of three files", async () => {
  using host = new FixtureHost({
    "proc/net/netstat":
      "TcpExt: SyncookiesSent DelayedACKs ListenDrops\nTcpExt: 7 100 8\nIpExt: InNoRoutes InOctets\nIpExt: 0 6286396970\n",
    "proc/net/snmp": "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: MaxConn CurrEstab\nTcp: -1 72\n",
    "proc/net/snmp6": "Ip6InOctets                     \t460\nUdpLite6InErrors 3\nIcmp6OutMsgs 8\n",
  });
  assert.deepEqual(await host.collect(netstat), [
    "node_netstat_Icmp6_OutMsgs 8",
    "node_netstat_Ip6_InOctets 460",
    "node_netstat_IpExt_InOctets 6286396970",
    "node_netstat_Ip_Forwarding 1",
    "node_netstat_TcpExt_ListenDrops 8",
    "node_netstat_TcpExt_SyncookiesSent 7",
    "node_netstat_Tcp_CurrEstab 72",
    "node_netstat_UdpLite6_InErrors 3",
  ]);
  assert.deepEqual(await host.collect(netstat, 'netstat { fields = "MaxConn" }'), ["node_netstat_Tcp_MaxConn -1"]);
});

test("netstat: pairs of lines give each value with its name, or fail", () => {
  const name = fc.stringMatching(/^[A-Za-z0-9]{1,8}$/);
  const protocol = fc.tuple(name, fc.array(fc.tuple(name, fc.nat()), { minLength: 1, maxLength: 6 }));
  fc.assert(
    fc.property(fc.array(protocol, { maxLength: 5 }), (protocols) => {
      const text = protocols
        .map(
          ([title, pairs]) =>
            `${title}: ${pairs.map(([key]) => key).join(" ")}\n${title}: ${pairs.map(([, value]) => value).join(" ")}\n`,
        )
        .join("");
      const expected = protocols.flatMap(([title, pairs]) => pairs.map(([key, value]) => `${title}_${key} ${value}`));
      const pairs = new LinePairs((key) => untyped(key, ""));
      // The second time with what the first has remembered.
      for (let i = 0; i < 2; i++) {
        const page = new Page();
        pairs.addTo(page, text);
        const found = page.families().flatMap(({ samples }) => samples.map(({ name, value }) => `${name} ${value}`));
        assert.deepEqual(found.sort(), expected.sort());
      }
    }),
  );
  const pairs = new LinePairs(() => null);
  assert.throws(() => pairs.addTo(new Page(), "Ip: A B\nIp: 1\n"), /Ip: has 3 names and 2 values/);
});

test("lines of a name and a number are read, others are passed over", () => {
  const line = fc.oneof(
    fc.tuple(fc.stringMatching(/^[A-Za-z_]{1,40}$/), fc.constantFrom(" ", "\t", "   \t"), fc.maxSafeNat()),
    fc.constantFrom("", "alone", "word word", " 5"),
  );
  fc.assert(
    fc.property(fc.array(line), fc.boolean(), (lines, ended) => {
      const text =
        lines.map((each) => (typeof each === "string" ? each : each.join(""))).join("\n") + (ended ? "\n" : "");
      const found: unknown[] = [];
      eachField(text, (name, value) => found.push([name, value]));
      const expected = lines.flatMap((each) => (typeof each === "string" ? [] : [[each[0], each[2]]]));
      assert.deepEqual(found, expected);
    }),
  );
});

test("sockstat, softnet and udp_queues", async () => {
  using host = new FixtureHost({
    "proc/net/sockstat": "sockets: used 229\nTCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1\nFRAG: inuse 0 memory 0\n",
    "proc/net/sockstat6": "TCP6: inuse 17\n",
    "proc/net/softnet_stat":
      "00015c73 00020e76 f0000769 00000000 00000000 00000000 00000000 00000000 00000001 00000002 00000003 00000004 00000005\n" +
      "01663fb2 00000000 000109a4 00000000 00000000 00000000 00000000 00000000 00000000\n",
    "proc/net/udp":
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
      "    0: 0A000005:0016 00000000:0000 0A 00000015:0000000A 00:00000000 00000000     0        0 2740 1 ffff88003d3af3c0 0\n" +
      "    1: 00000000:0016 00000000:0000 0A 00000001:00000001 00:00000000 00000000     0        0 2740 1 ffff88003d3af3c0 0\n",
  });
  const sockets = await host.collect(sockstat);
  for (const line of [
    "node_sockstat_sockets_used 229",
    "node_sockstat_TCP_tw 4",
    "node_sockstat_TCP6_inuse 17",
    "node_sockstat_FRAG_memory 0",
  ]) {
    assert.ok(sockets.includes(line), line);
  }
  assert.match(sockets.join("\n"), /node_sockstat_TCP_mem_bytes (4096|16384|65536)/);
  const lines = await host.collect(softnet);
  for (const line of [
    `node_softnet_processed_total{cpu="5"} ${0x15c73}`,
    'node_softnet_backlog_len{cpu="5"} 4',
    'node_softnet_cpu_collision_total{cpu="5"} 1',
    'node_softnet_received_rps_total{cpu="1"} 0',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.deepEqual(await host.collect(udpQueues), [
    'node_udp_queues{queue="rx",ip="v4"} 11',
    'node_udp_queues{queue="tx",ip="v4"} 22',
  ]);
});
