// Runs a script on the project's own Node, whatever version the machine has: `node tools/node.mjs SCRIPT [ARGUMENTS…]`.
// Plain JavaScript without newer syntax, since an old Node (18 or later) starts it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const candidates = [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`].map(
  (name) => join(root, "node_modules", name, "bin", "node"),
);
const own = candidates.find((path) => existsSync(path));

if (own === undefined && Number(process.versions.node.split(".")[0]) < 24) {
  console.error(
    `Invar needs Node 24 or newer; this is ${process.version}, and no newer one was installed for ${process.platform}-${process.arch}.`,
  );
  process.exit(1);
}

// As START_FLAGS in src/app/v8-flags.ts, which says why.
const flags = ["--no-maglev-osr", "--max-semi-space-size=16", "--initial-old-space-size=96"];
const child = spawn(own ?? process.execPath, [...flags, ...process.argv.slice(2)], {
  stdio: "inherit",
});
// A terminal's Ctrl-C reaches both processes; a supervisor's signal reaches only this one.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]) {
  process.on(signal, () => {
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on("error", (error) => {
  console.error(`cannot start ${own ?? process.execPath}: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  process.exit(signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0));
});
