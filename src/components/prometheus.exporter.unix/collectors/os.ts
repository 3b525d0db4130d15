import { gauge } from "#kits/exporter/page";
import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { isMissing, readText } from "../files.ts";

const LABELS = [
  ...["build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant", "variant_id"],
  ...["version", "version_codename", "version_id"],
];
const info = gauge("node_os_info", `A metric with a constant '1' value labeled by ${LABELS.join(", ")}.`, ...LABELS);
const version = gauge(
  "node_os_version",
  "Metric containing the major.minor part of the OS version.",
  ...["id", "id_like", "name"],
);
const supportEnd = gauge(
  "node_os_support_end_timestamp_seconds",
  "Metric containing the end-of-life date timestamp of the OS.",
);

export const os: CollectorDefinition = {
  name: "os",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const release = parseOsRelease(readFirst([files.root("/etc/os-release"), files.root("/usr/lib/os-release")]));
        const get = (label: string) => release.get(label.toUpperCase()) ?? "";
        page.add(info, 1, ...LABELS.map(get));
        const majorMinor = Number.parseFloat(/^\d+\.?\d*/.exec(get("version_id"))?.[0] ?? "0");
        if (majorMinor > 0) page.add(version, majorMinor, get("id"), get("id_like"), get("name"));
        if (get("support_end") !== "") {
          const time = Date.parse(get("support_end"));
          if (Number.isNaN(time)) throw new Error(`SUPPORT_END of os-release is no date: ${get("support_end")}`);
          page.add(supportEnd, time / 1000);
        }
      },
    };
  },
};

function readFirst(paths: readonly string[]): string {
  for (const path of paths) {
    try {
      return readText(path);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  throw new NoDataError("no os-release file");
}

/** Assignments of a shell, as os-release(5) restricts them. */
export function parseOsRelease(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (match === null) continue;
    const raw = match[2]!.trim();
    const quoted = /^(["'])(.*)\1$/s.exec(raw);
    if (quoted === null) values.set(match[1]!, raw);
    else values.set(match[1]!, quoted[1] === '"' ? quoted[2]!.replace(/\\(["$`\\])/g, "$1") : quoted[2]!);
  }
  return values;
}
