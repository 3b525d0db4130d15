import { arch, hostname, platform } from "node:os";
import type { Host } from "#lang/stdlib";
import { VERSION } from "./version.ts";

const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };
const GO_SYSTEMS: Readonly<Record<string, string>> = { win32: "windows", sunos: "solaris" };

/** What the standard library shows of this machine. */
export const host: Host = {
  environment: (name) => process.env[name],
  hostname: hostname(),
  os: GO_SYSTEMS[platform()] ?? platform(),
  arch: GO_ARCHITECTURES[arch()] ?? arch(),
  version: VERSION,
};
