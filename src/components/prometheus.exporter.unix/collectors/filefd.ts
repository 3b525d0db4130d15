import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readText, words } from "../files.ts";

const allocated = gauge("node_filefd_allocated", "File descriptor statistics: allocated.");
const maximum = gauge("node_filefd_maximum", "File descriptor statistics: maximum.");

export const filefd: CollectorDefinition = {
  name: "filefd",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const fields = words(readText(files.proc("sys/fs/file-nr")));
        page.add(allocated, parseNumber(fields[0] ?? ""));
        page.add(maximum, parseNumber(fields[2] ?? ""));
      },
    };
  },
};
