import { arch, platform } from "node:os";
import { gauge, type Page } from "./page.ts";

/** Adds `PROGRAM_build_info`, by which dashboards find exporters. */
export function addBuildInfo(page: Page, program: string, version: string): void {
  const metric = gauge(
    `${program}_build_info`,
    `A metric with a constant '1' value labeled by version, revision, branch, goversion from which ${program} was built, and the goos and goarch for the build.`,
    ...["branch", "goarch", "goos", "goversion", "revision", "tags", "version"],
  );
  const goArch = { x64: "amd64" }[arch() as string] ?? arch();
  page.add(metric, 1, "", goArch, platform(), process.version, "", "", version);
}
