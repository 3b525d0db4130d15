import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { DiagnosticError } from "#lang/diagnostic";
import { drbd } from "./collectors/drbd.ts";
import { drm } from "./collectors/drm.ts";
import { mountstats } from "./collectors/mountstats.ts";
import { ntp } from "./collectors/ntp.ts";
import { runit } from "./collectors/runit.ts";
import { supervisord } from "./collectors/supervisord.ts";
import { readAnswer } from "./sntp.ts";
import { FixtureHost } from "./testing.ts";
import { parseXmlRpc } from "./xml-rpc.ts";

test("runit: states of services, and none of what is not one", async () => {
  using host = new FixtureHost({
    "sv/file": "",
    "sv/fresh/run": "",
    "sv/short/supervise/status": "x",
    "sv/off/supervise/down": "",
  });
  const status = (wanted: string, state: number) => {
    const bytes = Buffer.alloc(20);
    bytes.writeBigUInt64BE(4_611_686_018_427_387_914n + 1_700_000_000n);
    bytes.write(wanted, 17);
    bytes[19] = state;
    return bytes;
  };
  host.write("sv/on/supervise/status", status("u", 1).toString("latin1"), "latin1");
  host.write("sv/off/supervise/status", status("d", 0).toString("latin1"), "latin1");
  const config = `runit { service_dir = "${host.root}/sv" }`;
  const [off, on] = ["off", "on"].map((name) => `{service="${name}",supervisor="runit"}`);
  assert.deepEqual(await host.collect(runit, config), [
    `node_service_desired_state${off} 0`,
    `node_service_desired_state${on} 1`,
    `node_service_normal_state${off} 0`,
    `node_service_normal_state${on} 1`,
    `node_service_state_last_change_timestamp_seconds${off} 1700000000`,
    `node_service_state_last_change_timestamp_seconds${on} 1700000000`,
    `node_service_state${off} 0`,
    `node_service_state${on} 1`,
  ]);
  await assert.rejects(host.collect(runit, 'runit { service_dir = "/nonexistent/sv" }'), { code: "ENOENT" });
});

const PROCESSES = `<?xml version='1.0'?>
<methodResponse><params><param><value><array><data>
<value><struct>
<member><name>name</name><value><string>a&amp;b</string></value></member>
<member><name>group</name><value>g</value></member>
<member><name>start</name><value><int>1700000000</int></value></member>
<member><name>state</name><value><int>20</int></value></member>
<member><name>exitstatus</name><value><i4>0</i4></value></member>
</struct></value>
<value><struct>
<member><name>name</name><value><string>off</string></value></member>
<member><name>group</name><value><string/></value></member>
<member><name>state</name><value><int>100</int></value></member>
<member><name>exitstatus</name><value><int>3</int></value></member>
</struct></value>
</data></array></value></param></params></methodResponse>`;

const FAULT =
  "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>" +
  "<member><name>faultString</name><value><string>UNKNOWN_METHOD</string></value></member></struct></value></fault></methodResponse>";

async function withServer<T>(listener: RequestListener, where: string | number, run: (server: Server) => Promise<T>) {
  const server = createServer(listener);
  const options = typeof where === "string" ? { path: where } : { port: where, host: "127.0.0.1" };
  await new Promise<void>((resolve) => server.listen(options, resolve));
  try {
    return await run(server);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("supervisord: over TCP with a password, and over a Unix socket", async () => {
  using host = new FixtureHost({ x: "" });
  const expected = [
    'node_supervisord_exit_status{name="a&b",group="g"} 0',
    'node_supervisord_exit_status{name="off",group=""} 3',
    'node_supervisord_start_time_seconds{name="a&b",group="g"} 1700000000',
    'node_supervisord_state{name="a&b",group="g"} 20',
    'node_supervisord_state{name="off",group=""} 100',
    'node_supervisord_up{name="a&b",group="g"} 1',
    'node_supervisord_up{name="off",group=""} 0',
  ];
  const seen: (string | undefined)[] = [];
  const listener: RequestListener = (request, response) => {
    seen.push(request.url, request.headers.authorization);
    response.end(PROCESSES);
  };
  await withServer(listener, 0, async (server) => {
    const { port } = server.address() as AddressInfo;
    const config = `supervisord { url = "http://u:p%26w@127.0.0.1:${port}/RPC2" }`;
    assert.deepEqual(await host.collect(supervisord, config), expected);
  });
  assert.deepEqual(seen, ["/RPC2", `Basic ${Buffer.from("u:p&w").toString("base64")}`]);
  const path = join(host.root, "supervisor.sock");
  await withServer(listener, path, async () => {
    assert.deepEqual(await host.collect(supervisord, `supervisord { url = "unix://${path}" }`), expected);
  });
});

test("supervisord: what goes wrong is said", async () => {
  using host = new FixtureHost({ x: "" });
  const answer = (status: number, body: string) =>
    withServer(
      (_, response) => void response.writeHead(status).end(body),
      0,
      (server) => {
        const { port } = server.address() as AddressInfo;
        return host.collect(supervisord, `supervisord { url = "http://127.0.0.1:${port}/RPC2" }`);
      },
    );
  await assert.rejects(answer(401, ""), /answers with status 401/);
  await assert.rejects(answer(200, FAULT), /refuses: UNKNOWN_METHOD \(1\)/);
  await assert.rejects(answer(200, "<html>"), /not one of XML-RPC/);
  const string = "<methodResponse><params><param><value>x</value></param></params></methodResponse>";
  await assert.rejects(answer(200, string), /not answer with a list/);
  await assert.rejects(host.collect(supervisord, 'supervisord { url = "http://127.0.0.1:1/RPC2" }'), /ECONNREFUSED/);
});

test("XML-RPC: values of all types; damaged answers are refused", () => {
  const wrap = (value: string) => `<methodResponse><params><param>${value}</param></params></methodResponse>`;
  const value =
    "<value><array><data><value><boolean>1</boolean></value><value><double>-1.5</double></value><value><nil/></value>" +
    "<value> &lt;&#65;&#x42;&gt; </value><value/></data></array></value>";
  const whole = wrap(value.replace("<value/>", "<value></value>"));
  assert.deepEqual(parseXmlRpc(whole), [true, -1.5, undefined, " <AB> ", ""]);
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(whole.length), (start, length) => {
      try {
        parseXmlRpc(whole.slice(0, start) + whole.slice(start + length));
      } catch (error) {
        assert.match((error as Error).message, /XML-RPC|refuses/);
      }
    }),
  );
});

/** A time server that answers with `change` applied to a good answer. */
async function withTimeServer<T>(
  change: (answer: Buffer, question: Buffer) => void,
  run: (port: number) => Promise<T>,
) {
  const socket = createSocket("udp4");
  socket.on("message", (question, { port, address }) => {
    const answer = Buffer.alloc(48);
    const seconds = Math.floor(Date.now() / 1000) + 2_208_988_800;
    answer[0] = (4 << 3) | 4;
    answer[1] = 3;
    answer.writeUInt32BE(0x8000, 4);
    answer.writeUInt32BE(0x4000, 8);
    answer.writeUInt32BE(seconds - 60, 16);
    question.copy(answer, 24, 40, 48);
    const fraction = Math.floor(((Date.now() % 1000) / 1000) * 2 ** 32);
    for (const at of [32, 40]) {
      answer.writeUInt32BE(seconds, at);
      answer.writeUInt32BE(fraction, at + 4);
    }
    change(answer, question);
    socket.send(answer, port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  try {
    return await run(socket.address().port);
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve));
  }
}

test("ntp: what a server says, and whether that is sane", async () => {
  using host = new FixtureHost({ x: "" });
  const ask = (change: (answer: Buffer, question: Buffer) => void, more = "") =>
    withTimeServer(change, async (port) => {
      const server = `server = "127.0.0.1:${port}"\n server_is_local = true`;
      const lines = await host.collect(ntp, `ntp {\n ${server}\n local_offset_tolerance = "500ms"\n ${more}\n}`);
      return new Map(lines.map((line) => [line.split(" ")[0]!.slice("node_ntp_".length), Number(line.split(" ")[1])]));
    });
  const good = await ask((_, question) => assert.equal((question[0]! >> 3) & 7, 4));
  assert.deepEqual(
    ["leap", "root_delay_seconds", "root_dispersion_seconds", "sanity", "stratum"].map((name) => good.get(name)),
    [0, 0.5, 0.25, 1, 3],
  );
  assert.ok(Math.abs(good.get("offset_seconds")!) < 0.5, `${good.get("offset_seconds")}`);
  assert.ok(good.get("rtt_seconds")! >= 0);
  assert.ok(Math.abs(good.get("reference_timestamp_seconds")! - Date.now() / 1000 + 60) < 5);
  const sanity = async (change: (answer: Buffer) => void, more?: string) => (await ask(change, more)).get("sanity");
  assert.equal(await sanity((answer) => void (answer[1] = 16)), 0);
  assert.equal(await sanity((answer) => void (answer[0]! |= 0xc0)), 0);
  assert.equal(await sanity(() => {}, 'max_distance = "100ms"'), 0);
  const later = (seconds: number) => (answer: Buffer) => {
    for (const at of [32, 40]) answer.writeUInt32BE(answer.readUInt32BE(at) + seconds, at);
  };
  assert.equal(await sanity(later(5)), 0);
  await assert.rejects(
    ask((answer) => void (answer[24]! ^= 1)),
    /answers another question/,
  );
  await assert.rejects(
    ask((answer) => void (answer[0] = 0x23)),
    /not one of a time server/,
  );
});

test("ntp: damaged answers are refused or read, and never more", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        readAnswer(Buffer.from(bytes), Buffer.from(bytes.slice(24, 32)), 0n, 0n);
      } catch (error) {
        assert.match((error as Error).message, /answer|clock/);
      }
    }),
  );
});

test("what node_exporter refuses is diagnosed, if the collector runs", () => {
  using host = new FixtureHost({ x: "" });
  const bad = [
    'ntp { server = "192.0.2.1" }',
    'ntp { server = "localhost" }',
    "ntp { protocol_version = 5 }",
    'ntp { local_offset_tolerance = "-1s" }',
    'perf { cpus = "1-x" }',
    'perf { tracepoint = ["sched"] }',
    'supervisord { url = "ftp://localhost" }',
  ];
  for (const block of bad) {
    const name = block.split(" ")[0]!;
    host.options(block);
    host.options(`${block}\nset_collectors = ["${name}"]\ndisable_collectors = ["${name}"]`);
    for (const ask of [`enable_collectors = ["${name}"]`, `set_collectors = ["${name}"]`]) {
      assert.throws(() => host.options(`${block}\n${ask}`), DiagnosticError, block);
    }
  }
  assert.throws(() => host.options('perf { software_profilers = ["Nonsense"] }'), DiagnosticError);
});

test("drbd: numbers, pairs of states and the connection", async () => {
  using host = new FixtureHost({
    "proc/drbd": `version: 8.4.3 (api:1/proto:86-101)
srcversion: 1A9F77B1CA5FF92235C2213

 1: cs:Connected ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
    ns:17324442 nr:10961 dw:28 dr:10 al:7 bm:15 lo:0 pe:1 ua:2 ap:3 ep:1 wo:d oos:4
`,
  });
  assert.deepEqual(await host.collect(drbd), [
    'node_drbd_activitylog_writes_total{device="drbd1"} 7',
    'node_drbd_application_pending{device="drbd1"} 3',
    'node_drbd_bitmap_writes_total{device="drbd1"} 15',
    'node_drbd_connected{device="drbd1"} 1',
    'node_drbd_disk_read_bytes_total{device="drbd1"} 10240',
    'node_drbd_disk_state_is_up_to_date{device="drbd1",node="local"} 1',
    'node_drbd_disk_state_is_up_to_date{device="drbd1",node="remote"} 0',
    'node_drbd_disk_written_bytes_total{device="drbd1"} 28672',
    'node_drbd_epochs{device="drbd1"} 1',
    'node_drbd_local_pending{device="drbd1"} 0',
    'node_drbd_network_received_bytes_total{device="drbd1"} 10961',
    'node_drbd_network_sent_bytes_total{device="drbd1"} 17740228608',
    'node_drbd_node_role_is_primary{device="drbd1",node="local"} 1',
    'node_drbd_node_role_is_primary{device="drbd1",node="remote"} 0',
    'node_drbd_out_of_sync_bytes{device="drbd1"} 4096',
    'node_drbd_remote_pending{device="drbd1"} 1',
    'node_drbd_remote_unacknowledged{device="drbd1"} 2',
  ]);
});

test("drm: cards of amdgpu, and no others", async () => {
  using host = new FixtureHost({
    "sys/class/drm/card0/device/uevent": "DRIVER=amdgpu\nPCI_CLASS=30000\n",
    "sys/class/drm/card0/device/gpu_busy_percent": "4\n",
    "sys/class/drm/card0/device/mem_info_vram_total": "8573157376\n",
    "sys/class/drm/card0/device/mem_info_vram_vendor": "samsung\n",
    "sys/class/drm/card0/device/unique_id": "0123456789abcdef\n",
    "sys/class/drm/card1/device/uevent": "DRIVER=i915\n",
    "sys/class/drm/card0-HDMI-A-1/status": "connected\n",
  });
  const lines = await host.collect(drm);
  assert.equal(lines.length, 8);
  assert.ok(lines.includes('node_drm_gpu_busy_percent{card="card0"} 4'));
  assert.ok(lines.includes('node_drm_memory_vram_size_bytes{card="card0"} 8573157376'));
  assert.ok(
    lines.includes(
      'node_drm_card_info{card="card0",memory_vendor="samsung",power_performance_level="",unique_id="0123456789abcdef",vendor="amd"} 1',
    ),
  );
});

test("mountstats: NFS mounts, each once, their connections together", async () => {
  const statistics = (export_: string, at: string, ...transports: readonly string[]) =>
    `device ${export_} mounted on ${at} with fstype nfs4 statvers=1.1
\topts:\trw,vers=4.0
\tage:\t13968
\tevents:\t${Array.from({ length: 27 }, (_, i) => i + 1).join(" ")}
\tbytes:\t1 2 3 4 5 6 7 8
\tRPC iostats version: 1.0  p/v: 100003/4 (nfs)
${transports.map((each) => `\txprt:\t${each}\n`).join("")}\tper-op statistics
\t        NULL: 0 0 0 0 0 0 0 0
\t        READ: 1298 1299 1 207680 1210292152 6 79386 18446744073709551615 0

`;
  const tcp = "tcp 832 0 1 0 11 6428 6428 0 12154 5 24 26 5726";
  const udp = "udp 832 3 6428 6429 0 12154 7 24 26 5726";
  using host = new FixtureHost({
    "proc/self/mountstats": `device rootfs mounted on / with fstype rootfs\n${statistics("srv:/a", "/a", tcp, tcp)}${statistics("srv:/a", "/b", tcp)}${statistics("srv:/u", "/u", udp)}`,
    "proc/self/mountinfo": [
      "1 1 0:1 / / rw - rootfs rootfs rw",
      "2 1 0:2 / /a rw - nfs4 srv:/a rw,addr=192.0.2.5",
      "3 1 0:2 / /b rw - nfs4 srv:/a rw,addr=192.0.2.5",
      "4 1 0:3 / /u rw - nfs4 srv:/u rw",
    ].join("\n"),
  });
  const lines = await host.collect(mountstats);
  const a = 'export="srv:/a",protocol="tcp",mountaddr="192.0.2.5"';
  const u = 'export="srv:/u",protocol="udp",mountaddr=""';
  for (const line of [
    `node_mountstats_nfs_age_seconds_total{${a}} 13968`,
    `node_mountstats_nfs_total_write_bytes_total{${a}} 6`,
    `node_mountstats_nfs_event_vfs_file_release_total{${a}} 18`,
    `node_mountstats_nfs_event_truncation_total{${a}} 20`,
    `node_mountstats_nfs_event_pnfs_write_total{${a}} 27`,
    `node_mountstats_nfs_transport_sends_total{${a}} 12856`,
    `node_mountstats_nfs_transport_idle_time_seconds{${a}} 11`,
    `node_mountstats_nfs_transport_maximum_rpc_slots{${u}} 24`,
    `node_mountstats_nfs_transport_receives_total{${u}} 6429`,
    `node_mountstats_nfs_transport_connect_total{${u}} 0`,
    `node_mountstats_nfs_operations_sent_bytes_total{${a},operation="READ"} 207680`,
    `node_mountstats_nfs_operations_response_time_seconds_total{${a},operation="READ"} 79.386`,
    `node_mountstats_nfs_operations_request_time_seconds_total{${a},operation="READ"} 9007199254740.99`,
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.equal(lines.filter((line) => line.startsWith("node_mountstats_nfs_age")).length, 2);
  host.write("proc/self/mountstats", statistics("srv:/a", "/a", "tcp x"));
  await assert.rejects(host.collect(mountstats), /expected a number in mountstats, found "x"/);
});
