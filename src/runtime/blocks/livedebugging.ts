import { type Infer, s } from "#lang/schema";

/** `livedebugging { … }`: whether the data on edges may be looked at. */
export const livedebuggingSchema = s.object({
  enabled: s.bool().default(false).doc("Whether live debugging is on."),
});

export type LivedebuggingArguments = Infer<typeof livedebuggingSchema>;
