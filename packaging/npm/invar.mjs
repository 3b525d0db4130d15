#!/usr/bin/env -S node --no-maglev-osr --max-semi-space-size=16 --initial-old-space-size=96
// Syntax that every Node since 14 reads, so that an old one can say what is wrong.
const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(`Error: Invar needs Node 24 or newer; this is ${process.version}. The single executable needs none.`);
  process.exitCode = 1;
} else {
  // V8 is set up before anything that compiles a pattern is loaded.
  import("../lib/v8-flags.js").then(() => import("../lib/main.js"));
}
