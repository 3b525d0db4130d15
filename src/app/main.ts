import { setFlagsFromString } from "node:v8";

// The regular expression engines must be chosen before the first pattern is compiled (see base/regex.ts).
setFlagsFromString("--enable-experimental-regexp-engine");
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");

const { runCommand } = await import("./cli.ts");
process.exitCode = await runCommand(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
});
