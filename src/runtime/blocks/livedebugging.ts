import { s } from "#lang/schema";

/** `livedebugging { … }`: whether the data on edges may be looked at. */
export const livedebuggingSchema = s.object({
  enabled: s
    .bool()
    .default(false)
    .doc(
      "Whether the data that flows can be watched: in the page, with `invar tap` and over the API. Whoever reaches the HTTP port can read it then.",
    ),
});
