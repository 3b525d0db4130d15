import { arch, hostname, platform } from "node:os";
import { goPlatform, type Host } from "#lang/stdlib";
import { VERSION } from "./version.ts";

/** What the standard library shows of this machine. */
export const host: Host = {
  environment: (name) => process.env[name],
  hostname: hostname(),
  ...goPlatform(platform(), arch()),
  version: VERSION,
};
