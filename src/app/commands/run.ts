import { errorText } from "#base/log";
import { DiagnosticError } from "#lang/diagnostic";
import { renderDiagnostics } from "#lang/render";
import type { Stability } from "#pipeline/component";
import { makeFolderSync } from "#pipeline/make-folder";
import { Agent } from "../agent.ts";
import { hideSecrets } from "../api/redact.ts";
import { splitAddress } from "../api-server.ts";
import { type Command, EXIT, wantsColor } from "../cli.ts";
import { type ParsedCommandLine, UsageError } from "../command-line.ts";
import { LogOutput } from "../log-output.ts";
import { registry } from "../registry.ts";
import { RUN_FLAGS } from "../run-flags.ts";
import { VERSION } from "../version.ts";

export const run: Command = {
  usage: "invar run [flags] path",
  summary: "Run the agent on a configuration file or folder",
  flags: RUN_FLAGS,
  positional: [1, 1],

  async run(line, terminal) {
    const logOutput = new LogOutput();
    const agent = createAgent(line, logOutput);
    const { log } = agent;
    const stopped = stopSignal(agent);
    log.info("starting", { version: VERSION, config: agent.options.configPath, node: process.version });
    try {
      prepareStorage(agent.options.storagePath);
      // The agent's own port is taken before a component can ask for it.
      await agent.reload(() => agent.server.listen());
    } catch (error) {
      const color = wantsColor();
      if (error instanceof DiagnosticError)
        terminal.error(renderDiagnostics(hideSecrets(error.diagnostics), { color }));
      else terminal.error(`Error: ${errorText(error)}\n`);
      terminal.error("Error: could not perform the initial load successfully\n");
      await agent.stop();
      return EXIT.failed;
    }
    if (line.flags.get("config.watch") === true) agent.watchConfiguration();
    log.info("now listening for http traffic", { addr: agent.server.address });
    process.on("SIGHUP", () => void agent.reload().catch(() => {})); // the agent logs why

    const signal = await stopped;
    log.info("stopping", { signal, deadline_seconds: agent.options.shutdownDeadlineMs / 1000 });
    await agent.stop();
    log.info("stopped");
    // Not left to Node, which would no longer catch signals while it takes itself down: one more would be the exit status.
    return process.exit(EXIT.ok);
  },
};

function createAgent(line: ParsedCommandLine, logOutput: LogOutput): Agent {
  const { flags } = line;
  const text = (name: string) => flags.get(name) as string;
  const on = (name: string) => flags.get(name) === true;
  const uiPathPrefix = text("server.http.ui-path-prefix");
  if (!uiPathPrefix.startsWith("/")) throw new UsageError("--server.http.ui-path-prefix must begin with a slash");
  const address = text("server.http.listen-addr");
  splitAddress(address);
  return new Agent(
    {
      configPath: line.positional[0]!,
      version: VERSION,
      registry,
      storagePath: text("storage.path"),
      listenAddress: address,
      memoryAddress: text("server.http.memory-addr"),
      uiPathPrefix,
      enablePprof: on("server.http.enable-pprof"),
      disableSupportBundle: on("server.http.disable-support-bundle"),
      minimumStability: text("stability.level") as Stability,
      communityComponents: on("feature.community-components.enabled"),
      shutdownDeadlineMs: flags.get("feature.component-shutdown-deadline") as number,
      workers: workersOf(flags.get("workers") as number),
      flags,
    },
    logOutput,
  );
}

/** More threads than this would only take memory. */
const MAX_WORKERS = 64;

function workersOf(count: number): number {
  if (count >= 0 && count <= MAX_WORKERS) return count;
  throw new UsageError(`--workers must be from 0 to ${MAX_WORKERS}; a thread for each CPU beside the first is enough`);
}

/** Resolves with the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(agent: Agent): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (asked) {
          agent.log.warn("stopping at once; what was not handed on is read again at the next start", { signal });
          process.exit(EXIT.failed);
        }
        asked = true;
        resolve(signal);
      });
    }
  });
}

function prepareStorage(path: string): void {
  try {
    makeFolderSync(path);
  } catch (error) {
    throw new Error(`cannot make the storage folder ${path} (--storage.path): give a folder that this user may write`, {
      cause: error,
    });
  }
}
