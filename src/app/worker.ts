import { parentPort } from "node:worker_threads";
import { configureRegexEngine } from "#base/regex";
import { PROCESS_CHANNEL } from "#components/loki.process/remote-protocol";
import { openPipeline } from "#components/loki.process/worker";
import { serveChannels } from "#pipeline/worker-pool";

/** The main program of worker threads (`--workers`). V8's flags are those of the whole process: see v8-flags.ts. */

configureRegexEngine({ linear: true });
serveChannels(parentPort!, new Map([[PROCESS_CHANNEL, openPipeline]]));
