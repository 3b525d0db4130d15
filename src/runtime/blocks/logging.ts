import { type Infer, s } from "#lang/schema";

/** `logging { … }`: the agent's own log. */
export const loggingSchema = s
  .object({
    level: s.oneOf(["debug", "info", "warn", "error"]).default("info").doc("The least level that is logged."),
    format: s.oneOf(["logfmt", "json"]).default("logfmt").doc("How lines are written."),
    destination: s
      .oneOf(["stderr", "windows_event_log"])
      .default("stderr")
      .doc("Where lines are written; the Windows event log is **not supported**."),
    write_to: s.list(s.consumer("logs")).default([]).doc("Receivers that get the agent's log as well."),
  })
  .rule(
    "destination",
    (args) => args.destination === "stderr",
    'cannot be "windows_event_log": this agent does not run on Windows',
  );

export type LoggingArguments = Infer<typeof loggingSchema>;
