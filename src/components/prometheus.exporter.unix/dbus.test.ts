import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { Page } from "#kits/exporter/page";
import { createLogind } from "./collectors/logind.ts";
import { createSystemd } from "./collectors/systemd.ts";
import { DbusConnection, systemBusPath } from "./dbus.ts";
import {
  CALL,
  type DbusMessage,
  type DbusValue,
  decodeMessage,
  ERROR,
  encodeMessage,
  messageLength,
  REPLY,
  splitSignature,
} from "./dbus-message.ts";
import { FixtureHost, sampleLines } from "./testing.ts";

const text = fc
  .string({ unit: "grapheme", maxLength: 12 })
  .filter((each) => !each.includes("\0") && each.isWellFormed());
const leaf: fc.Arbitrary<[string, DbusValue]> = fc.oneof(
  text.map((value): [string, DbusValue] => ["s", value]),
  fc.nat(0xffff_ffff).map((value): [string, DbusValue] => ["u", value]),
  fc.integer().map((value): [string, DbusValue] => ["i", value]),
  fc.maxSafeNat().map((value): [string, DbusValue] => ["t", value]),
  fc.maxSafeInteger().map((value): [string, DbusValue] => ["x", value]),
  fc.boolean().map((value): [string, DbusValue] => ["b", value]),
  fc.double({ noNaN: true }).map((value): [string, DbusValue] => ["d", value]),
  fc.nat(255).map((value): [string, DbusValue] => ["y", value]),
);
const typed = fc.oneof(
  leaf,
  fc
    .array(leaf, { minLength: 1, maxLength: 4 })
    .map((all): [string, DbusValue] => [`(${all.map(([type]) => type).join("")})`, all.map(([, value]) => value)]),
  fc.array(fc.tuple(text, fc.nat(9))).map((value): [string, DbusValue] => ["a(su)", value]),
  fc.array(fc.array(text, { maxLength: 3 }), { maxLength: 3 }).map((value): [string, DbusValue] => ["aas", value]),
);

test("messages are read back as they were written", () => {
  fc.assert(
    fc.property(fc.array(typed, { maxLength: 5 }), fc.nat(1000), (all, serial) => {
      const signature = all.map(([type]) => type).join("");
      const message = { type: CALL, serial, path: "/a/b", member: "M", signature, body: all.map(([, value]) => value) };
      const bytes = encodeMessage(message);
      assert.equal(messageLength(bytes), bytes.length);
      const { signature: _, ...rest } = message;
      assert.deepEqual(decodeMessage(bytes), signature === "" ? rest : message);
    }),
  );
});

test("damaged messages are refused", () => {
  const whole = encodeMessage({ type: REPLY, serial: 1, signature: "a(sv)", body: [[["a", ["u", 1]]]] });
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
      const damaged = Buffer.from(whole);
      damaged[at] = byte;
      try {
        if ((messageLength(damaged) ?? 0) <= damaged.length) decodeMessage(damaged);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }),
  );
  assert.throws(() => decodeMessage(whole.subarray(0, whole.length - 1)), RangeError);
  assert.throws(() => splitSignature("a"), RangeError);
  assert.throws(() => splitSignature("(s"), RangeError);
  assert.deepEqual(splitSignature("sa{sv}a(ss(u))u"), ["s", "a{sv}", "a(ss(u))", "u"]);
});

test("the bus is found by its address", () => {
  assert.equal(systemBusPath("unix:path=/run/x"), "/run/x");
  assert.equal(systemBusPath("unix:guid=1,path=/run/a%20b"), "/run/a b");
  assert.equal(systemBusPath("unix:abstract=/tmp/x,guid=2"), "\0/tmp/x");
  assert.equal(systemBusPath("tcp:host=localhost;unix:path=/run/y"), "/run/y");
  assert.equal(systemBusPath("tcp:host=localhost"), "/var/run/dbus/system_bus_socket");
});

test("a real message bus answers", { skip: !existsSync("/usr/bin/dbus-daemon") }, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "bus");
  const daemon = spawn(
    "/usr/bin/dbus-daemon",
    ["--session", "--nofork", "--nopidfile", `--address=unix:path=${path}`, "--print-address=1"],
    {
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  const exited = new Promise((resolve) => daemon.once("exit", resolve));
  try {
    await new Promise((resolve, reject) => {
      daemon.stdout.once("data", resolve);
      daemon.once("exit", () => reject(new Error("the bus did not start")));
    });
    using bus = await DbusConnection.open(path);
    const service = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"] as const;
    const [names] = await bus.call(...service, "ListNames");
    assert.ok((names as string[]).includes("org.freedesktop.DBus"));
    assert.deepEqual(await bus.call(...service, "GetConnectionUnixUser", "org.freedesktop.DBus"), [process.getuid!()]);
    assert.equal(typeof (await bus.property(...service, "Features")), "object");
    await assert.rejects(bus.call(...service, "NoSuchMethod"), /UnknownMethod/);
  } finally {
    daemon.kill();
    await exited;
  }
});

const UNITS = [
  unit("sshd.service", "loaded", "active", "/u/sshd"),
  unit("old.service", "loaded", "failed", "/u/old"),
  unit("gone.service", "not-found", "inactive", "/u/gone"),
  unit("logrotate.timer", "loaded", "active", "/u/timer"),
  unit("docker.socket", "loaded", "active", "/u/socket"),
  unit("dev-sda.device", "loaded", "active", "/u/device"),
];
const PROPERTIES: Readonly<Record<string, [string, DbusValue]>> = {
  "/org/freedesktop/systemd1 Version": ["s", "252.39-1~deb12u1"],
  "/org/freedesktop/systemd1 SystemState": ["s", "running"],
  "/u/sshd Type": ["s", "notify"],
  "/u/sshd NRestarts": ["u", 3],
  "/u/sshd ActiveEnterTimestamp": ["t", 1_700_000_000_500_000],
  "/u/sshd TasksCurrent": ["t", 7],
  "/u/old Type": ["s", "simple"],
  "/u/timer LastTriggerUSec": ["t", 1_700_000_000_000_000],
  "/u/socket NAccepted": ["u", 5],
  "/u/socket NConnections": ["u", 1],
};

function unit(name: string, load: string, active: string, path: string): DbusValue {
  return [name, "A unit", load, active, "sub", "", path, 0, "", "/"];
}

test("systemd: units, their properties, and what a version does not have", async () => {
  await using bus = await fakeBus(({ path = "", member, body }) => {
    if (member === "Hello") return ["s", ":1.1"];
    if (member === "ListUnits") return ["a(ssssssouso)", UNITS];
    const property = PROPERTIES[`${path} ${body[1]}`];
    return property === undefined ? undefined : ["v", property];
  });
  using host = new FixtureHost({});
  const config = "systemd {\n enable_restarts = true\n start_time = true\n task_metrics = true\n}";
  const page = new Page();
  await createSystemd(host.options(config), bus.path).collect(page);
  const lines = sampleLines(page);
  for (const line of [
    'node_systemd_version{version="252.39-1~deb12u1"} 252.39',
    "node_systemd_system_running 1",
    'node_systemd_units{state="active"} 4',
    'node_systemd_units{state="inactive"} 1',
    'node_systemd_unit_state{name="sshd.service",state="active",type="notify"} 1',
    'node_systemd_unit_state{name="old.service",state="failed",type="simple"} 1',
    'node_systemd_unit_start_time_seconds{name="sshd.service"} 1700000000.5',
    'node_systemd_unit_start_time_seconds{name="old.service"} 0',
    'node_systemd_unit_tasks_current{name="sshd.service"} 7',
    'node_systemd_service_restart_total{name="sshd.service"} 3',
    'node_systemd_timer_last_trigger_seconds{name="logrotate.timer"} 1700000000',
    'node_systemd_socket_accepted_connections_total{name="docker.socket"} 5',
    'node_systemd_socket_current_connections{name="docker.socket"} 1',
  ]) {
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  }
  assert.equal(
    lines.some((line) => /gone\.service|dev-sda|tasks_max|refused/.test(line)),
    false,
  );

  const filtered = new Page();
  await createSystemd(host.options('systemd { unit_include = "ssh.*" }'), bus.path).collect(filtered);
  const names = new Set(sampleLines(filtered).flatMap((line) => /name="([^"]*)"/.exec(line)?.[1] ?? []));
  assert.deepEqual([...names], ["sshd.service"]);
});

const SESSIONS: Readonly<Record<string, readonly [remote: boolean, type: string, kind: string]>> = {
  "/s/1": [false, "tty", "user"],
  "/s/2": [true, "tty", "user"],
  "/s/3": [false, "hologram", "manager"],
};

test("logind: sessions by what they are, and zero for all that there could be", async () => {
  await using bus = await fakeBus(({ path = "", member, body }) => {
    if (member === "Hello") return ["s", ":1.1"];
    if (member === "ListSeats") return ["a(so)", [["seat0", "/seat/0"]]];
    if (member === "ListSessions") {
      const list = [...Object.keys(SESSIONS), "/s/ended"].map((each, i) => [
        `${i}`,
        0,
        "root",
        i === 1 ? "" : "seat0",
        each,
      ]);
      return ["a(susso)", list];
    }
    const [remote, type, kind] = SESSIONS[path] ?? [];
    if (type === undefined) return undefined;
    if (body[1] === "Remote") return ["v", ["b", remote!]];
    return ["v", ["s", body[1] === "Type" ? type : kind!]];
  });
  const page = new Page();
  await createLogind(bus.path).collect(page);
  const lines = sampleLines(page);
  assert.equal(lines.length, 2 * 2 * 7 * 5);
  assert.deepEqual(
    lines.filter((line) => line.endsWith(" 1")),
    [
      'node_logind_sessions{seat="",remote="true",type="tty",class="user"} 1',
      'node_logind_sessions{seat="seat0",remote="false",type="other",class="other"} 1',
      'node_logind_sessions{seat="seat0",remote="false",type="tty",class="user"} 1',
    ],
  );
});

test("a bus that is not there, refuses, or goes away fails the calls", async () => {
  await assert.rejects(DbusConnection.open("/nonexistent/bus"), /ENOENT/);
  await using refusing = await fakeBus(() => undefined, "REJECTED EXTERNAL");
  await assert.rejects(DbusConnection.open(refusing.path), /refuses this user: REJECTED/);
  await using silent = await fakeBus(({ member }) => (member === "Hello" ? ["s", ":1.1"] : "close"));
  using bus = await DbusConnection.open(silent.path);
  await assert.rejects(bus.call("a.b", "/", "a.b", "C"), /closed the connection/);
  await assert.rejects(bus.call("a.b", "/", "a.b", "C"), /closed the connection/);
});

type Answer = readonly [signature: string, value: DbusValue] | "close" | undefined;

/** A bus with one service that answers; it sends its bytes in small pieces. Undefined is an error. */
async function fakeBus(
  answer: (call: DbusMessage) => Answer,
  greeting = "OK 1234",
): Promise<AsyncDisposable & { path: string }> {
  const folder = temporaryFolder();
  const path = join(folder.path, "bus");
  const server: Server = createServer((socket) => {
    let received = Buffer.alloc(0);
    let authenticated = false;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk as Buffer]);
      if (!authenticated) {
        const begin = received.indexOf("BEGIN\r\n");
        if (begin < 0) return void socket.write(`${greeting}\r\n`);
        authenticated = true;
        received = received.subarray(begin + 7);
      }
      for (
        let length = messageLength(received);
        length !== undefined && received.length >= length;
        length = messageLength(received)
      ) {
        const call = decodeMessage(received.subarray(0, length));
        received = received.subarray(length);
        const answered = answer(call);
        if (answered === "close") return void socket.destroy();
        const reply =
          answered === undefined
            ? { type: ERROR, errorName: "org.freedesktop.DBus.Error.UnknownProperty", signature: "s", body: ["none"] }
            : { type: REPLY, signature: answered[0], body: [answered[1]] };
        const bytes = encodeMessage({ ...reply, serial: 1, replySerial: call.serial });
        for (let at = 0; at < bytes.length; at += 37) socket.write(bytes.subarray(at, at + 37));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
      folder[Symbol.dispose]();
    },
  };
}

function temporaryFolder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), "invar-bus-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
