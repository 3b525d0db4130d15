import type { AnyBody } from "#lang/schema";
import { httpSchema } from "./http.ts";
import { livedebuggingSchema } from "./livedebugging.ts";
import { loggingSchema } from "./logging.ts";
import { tracingSchema } from "./tracing.ts";

/** The blocks that configure the agent itself, each at most once and without a label. */
export const CONFIG_BLOCKS: ReadonlyMap<string, AnyBody> = new Map<string, AnyBody>([
  ["http", httpSchema],
  ["livedebugging", livedebuggingSchema],
  ["logging", loggingSchema],
  ["tracing", tracingSchema],
]);

/** Blocks of Alloy that this agent refuses, with the reason. */
export const UNSUPPORTED_BLOCKS: ReadonlyMap<string, string> = new Map([
  ["remotecfg", "the agent cannot fetch its configuration from a server yet"],
  ["import.git", "modules cannot be fetched from Git repositories yet; import.file reads a local copy"],
  ["import.http", "modules cannot be fetched over HTTP yet; import.file reads a local copy"],
]);
