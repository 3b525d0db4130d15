import dns from "node:dns/promises";
import { readdirSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { errorText } from "#base/log";
import { readIfThere } from "../proc-files.ts";
import type { Detected, Detector, DetectorContext } from "./detector.ts";

export const HOSTNAME_SOURCES = ["os", "dns", "cname", "lookup"] as const;
export type HostnameSource = (typeof HOSTNAME_SOURCES)[number];

const OS_TYPES: Readonly<Record<string, string>> = { win32: "windows", sunos: "solaris" };
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "x86", arm: "arm32" };

/** The host itself. Matches internal/system, with what gopsutil and the OpenTelemetry SDK read. */
export function systemDetector(sources: readonly HostnameSource[], { root = "", log }: DetectorContext): Detector {
  const read = (path: string) => readIfThere(join(root, "/", path));

  async function hostname(signal: AbortSignal): Promise<string> {
    const failures: string[] = [];
    for (const source of sources) {
      try {
        return await HOSTNAMES[source](read);
      } catch (error) {
        signal.throwIfAborted();
        failures.push(`${source}: ${errorText(error)}`);
        log.debug("no host name from this source", { source, error });
      }
    }
    throw new Error(`no host name could be had (${failures.join("; ")}): try other \`hostname_sources\``);
  }

  return {
    async detect(signal): Promise<Detected> {
      const release = keyValues(read("etc/os-release") ?? read("usr/lib/os-release") ?? "");
      const platform = platformOf(read, release);
      const cpu = cpuInfo(read("proc/cpuinfo") ?? "");
      const cache = Number.parseInt(cpu.get("cache size") ?? "", 10);
      const interfaces = Object.values(os.networkInterfaces()).map((each) =>
        (each ?? []).filter((one) => !one.internal),
      );
      return {
        attributes: {
          "host.name": await hostname(signal),
          "host.id": (read("etc/machine-id") ?? read("var/lib/dbus/machine-id"))?.trim(),
          "host.arch": ARCHITECTURES[process.arch] ?? process.arch,
          "host.ip": interfaces.flatMap((each) => each.map(({ address }) => address)),
          "host.mac": interfaces.flatMap((each) =>
            each.slice(0, 1).map(({ mac }) => mac.toUpperCase().replaceAll(":", "-")),
          ),
          "host.interface": interfaceNames(root),
          "host.cpu.vendor.id": cpu.get("vendor_id"),
          "host.cpu.family": cpu.get("cpu family"),
          "host.cpu.model.id": cpu.get("model"),
          "host.cpu.model.name": cpu.get("model name"),
          "host.cpu.stepping": cpu.get("stepping"),
          "host.cpu.cache.l2.size": Number.isNaN(cache) ? undefined : BigInt(cache),
          "os.type": OS_TYPES[process.platform] ?? process.platform,
          "os.name": platform.name,
          "os.version": platform.version,
          "os.build.id": release.get("BUILD_ID") ?? os.release(),
          "os.description": description(release),
        },
      };
    },
  };
}

type Read = (path: string) => string | undefined;

const HOSTNAMES: Readonly<Record<HostnameSource, (read: Read) => Promise<string>>> = {
  os: async () => os.hostname(),
  async dns(read) {
    const name = os.hostname();
    for (const line of (read("etc/hosts") ?? "").split("\n")) {
      const [, canonical, ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
      if (canonical !== undefined && (canonical === name || aliases.includes(name))) return canonical;
    }
    return reverseOf(name);
  },
  async cname() {
    const [name] = await dns.resolveCname(os.hostname());
    return withoutDot(name ?? os.hostname());
  },
  lookup: async () => reverseOf(os.hostname()),
};

async function reverseOf(name: string): Promise<string> {
  let failure: unknown = new Error(`${name} has no address`);
  for (const { address } of await dns.lookup(name, { all: true })) {
    try {
      const [found] = await dns.reverse(address);
      if (found !== undefined) return withoutDot(found);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
function withoutDot(name: string): string {
  return name.replace(/\.+$/, "");
}

/** `NAME="value"` lines. */
function keyValues(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\s*([A-Z_]+)=(.*?)\s*$/.exec(line);
    if (match !== null) values.set(match[1]!, match[2]!.replace(/^(["'])(.*)\1$/, "$2"));
  }
  return values;
}

/** The distribution and its version, where gopsutil looks for them. */
function platformOf(read: Read, release: ReadonlyMap<string, string>): { name?: string; version?: string } {
  const lsb = keyValues(read("etc/lsb-release") ?? "");
  const debian = read("etc/debian_version");
  if (debian !== undefined) {
    if (lsb.get("DISTRIB_ID") === "Ubuntu") return { name: "ubuntu", version: lsb.get("DISTRIB_RELEASE") ?? "" };
    if (lsb.get("DISTRIB_ID") === "LinuxMint") return { name: "linuxmint", version: lsb.get("DISTRIB_RELEASE") ?? "" };
    return { name: "debian", version: debian.split("\n")[0]!.trim() };
  }
  const redhat = read("etc/redhat-release") ?? read("etc/system-release");
  if (redhat !== undefined) {
    const text = redhat.toLowerCase();
    const version = /release (\d[\d.]*)/.exec(text)?.[1];
    return {
      name: text.includes("red hat") ? "redhat" : text.split(" ")[0]!,
      ...(version !== undefined && { version }),
    };
  }
  const alpine = read("etc/alpine-release");
  if (alpine !== undefined) return { name: "alpine", version: alpine.split("\n")[0]!.trim() };
  const name = release.get("ID");
  const version = release.get("VERSION_ID");
  return { ...(name !== undefined && { name }), ...(version !== undefined && { version }) };
}

/** As the SDK's: the name of the distribution, and what uname says. */
function description(release: ReadonlyMap<string, string>): string {
  const name = release.get("PRETTY_NAME") ?? `${release.get("NAME") ?? ""} ${release.get("VERSION") ?? ""}`.trim();
  const uname = `${os.type()} ${os.hostname()} ${os.release()} ${os.version()} ${os.machine()}`;
  return name === "" ? uname : `${name} (${uname})`;
}

/** The fields of the first processor. */
function cpuInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split("\n\n")[0]!.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim());
  }
  return fields;
}

function interfaceNames(root: string): readonly string[] {
  try {
    return readdirSync(join(root, "/", "sys/class/net"));
  } catch {
    return Object.keys(os.networkInterfaces()); // those with an address
  }
}
