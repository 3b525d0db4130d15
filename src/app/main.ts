import "./v8-flags.ts"; // first: see there

import { runCommand } from "./cli.ts";

// No top-level await: the single executable's code cache needs a main program in CommonJS.
void runCommand(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
}).then((code) => {
  process.exitCode = code;
});
