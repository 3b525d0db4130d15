import { existsSync, globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { run } from "node:test";
import summary from "./summary-reporter.mjs";

/**
 * Runs the test suites: `npm test` all of them, `npm test -- unit e2e` some. A suite that needs a program that the machine
 * lacks is named as skipped; with CI=true that is a failure.
 */

interface Suite {
  readonly name: string;
  readonly files: readonly string[];
  /** Programs that the suite starts. */
  readonly needs: readonly string[];
}

const PROGRAMS: Readonly<Record<string, string>> = {
  prometheus: "/usr/bin/prometheus",
  "prometheus-node-exporter": "/usr/bin/prometheus-node-exporter",
  postgres: "/usr/lib/postgresql/15/bin/postgres",
  "prometheus-postgres-exporter": "/usr/bin/prometheus-postgres-exporter",
  chromium: "/usr/bin/chromium",
  logrotate: "/usr/sbin/logrotate",
  rsyslogd: "/usr/sbin/rsyslogd",
  openssl: "/usr/bin/openssl",
  python3: "/usr/bin/python3",
  dot: "/usr/bin/dot",
  "systemd-journal-remote": "/lib/systemd/systemd-journal-remote",
  java: "/usr/bin/java",
  "redis-server": "/usr/bin/redis-server",
  "prometheus-redis-exporter": "/usr/bin/prometheus-redis-exporter",
  mariadbd: "/usr/sbin/mariadbd",
  "prometheus-mysqld-exporter": "/usr/bin/prometheus-mysqld-exporter",
  dnsmasq: "/usr/sbin/dnsmasq",
  "prometheus-blackbox-exporter": "/usr/bin/prometheus-blackbox-exporter",
  containerd: "/usr/bin/containerd",
  runc: "/usr/sbin/runc",
  chronyd: "/usr/sbin/chronyd",
  runsvdir: "/usr/bin/runsvdir",
  supervisord: "/usr/bin/supervisord",
  "the broker of Apache Kafka": "node_modules/.cache/kafka/4.1.0",
};

/** Files that need a program beyond Node, by a part of their path. */
const NEEDS: readonly (readonly [pathPart: string, program: string])[] = [
  [".prometheus.test.ts", "prometheus"],
  ["node-exporter", "prometheus-node-exporter"],
  ["node-exporter-services", "chronyd"],
  ["node-exporter-services", "runsvdir"],
  ["node-exporter-services", "supervisord"],
  ["exporter-postgres", "postgres"],
  ["exporter-postgres", "prometheus-postgres-exporter"],
  ["exporter-postgres", "openssl"],
  [".browser.test.ts", "chromium"],
  ["logrotate", "logrotate"],
  ["rsyslog", "rsyslogd"],
  ["tls", "openssl"],
  ["mutual-tls", "openssl"],
  ["zip.test.ts", "python3"],
  ["graphviz", "dot"],
  ["loki.source.journal.test.ts", "systemd-journal-remote"],
  ["e2e/journal.test.ts", "systemd-journal-remote"],
  ["exporter-redis", "redis-server"],
  ["exporter-redis", "prometheus-redis-exporter"],
  ["exporter-mysql", "mariadbd"],
  ["exporter-mysql", "prometheus-mysqld-exporter"],
  ["discovery.dns.dnsmasq.test.ts", "dnsmasq"],
  ["e2e/exporter-blackbox", "dnsmasq"],
  ["e2e/exporter-blackbox", "prometheus-blackbox-exporter"],
  [".containerd.test.ts", "containerd"],
  [".containerd.test.ts", "runc"],
  ["e2e/kafka.test.ts", "java"],
  ["e2e/kafka.test.ts", "the broker of Apache Kafka"],
];

const SUITES: readonly (readonly [name: string, pattern: string])[] = [
  ["unit", "{src,tools,bench,web/source}/**/*.test.ts"],
  ["conformance", "test/conformance/**/*.test.ts"],
  ["differential", "test/differential/**/*.test.ts"],
  ["golden", "test/golden/**/*.test.ts"],
  ["e2e", "test/e2e/**/*.test.ts"],
];

/**
 * End-to-end files that take longest: they begin first, so that none of them runs alone at the end. The names of the others
 * give the order.
 */
const LONGEST = [
  "loss-files",
  "flow-status",
  "kafka",
  "live",
  "failure-page",
  "page-component",
  "loss-metrics",
  "exporter-postgres",
  "failure-log-streams",
  "page-graph.",
];

// Hundreds of tests start the agent, or load its sources themselves: what the first one compiled the others only read.
process.env.NODE_COMPILE_CACHE ??= resolve("node_modules/.cache/compile");

const wanted = process.argv.slice(2);
const suites: Suite[] = [];
for (const [name, pattern] of SUITES) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  suites.push({ name, files: globSync(pattern).sort(byLength), needs: [] });
}

/** `node --test` would sort the files by their names. */
function byLength(one: string, other: string): number {
  const rank = (file: string) => {
    const at = LONGEST.findIndex((name) => file.startsWith(`test/e2e/${name}`));
    return at < 0 ? LONGEST.length : at;
  };
  return rank(one) - rank(other) || (one < other ? -1 : 1);
}

async function runFiles(files: string[], concurrency: number): Promise<void> {
  const execArgv = ["--no-maglev-osr"];
  const tests = run({ files, concurrency, timeout: 600_000, execArgv });
  tests.on("test:fail", () => {
    failed = true;
  });
  for await (const text of summary(tests)) process.stdout.write(text);
}

const skipped: string[] = [];
let failed = false;
for (const suite of suites) {
  const runnable = suite.files.filter((file) => {
    const missing = NEEDS.filter(([part, program]) => file.includes(part) && !existsSync(PROGRAMS[program]!));
    if (missing.length > 0) skipped.push(`${file} (needs ${missing.map(([, program]) => program).join(", ")})`);
    return missing.length === 0;
  });
  if (runnable.length === 0) continue;
  process.stdout.write(`\n${suite.name}: ${runnable.length} files\n`);
  // Tests wait more than they work: Node's own choice, one file at a time on a small machine, takes twice as long. End-to-end
  // tests start agents and peers, and three at a time leave each of them enough.
  await runFiles(runnable, suite.name === "e2e" ? 3 : Math.max(2, availableParallelism() - 1));
}
if (skipped.length > 0) {
  process.stdout.write(
    `\nNot run, for want of a program (npm run test:setup installs them from Debian's packages):\n  ${skipped.join("\n  ")}\n`,
  );
  if (process.env.CI === "true") failed = true;
}
if (failed) process.exitCode = 1;
