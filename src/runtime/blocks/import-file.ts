import { type Infer, s } from "#lang/schema";

/** `import.file "namespace" { … }`: custom components from a file or from all `.alloy` files of a folder. */
export const importFileSchema = s.object({
  filename: s.string().nonEmpty().doc("Path of the file or folder."),
  detector: s.oneOf(["fsnotify", "poll"]).default("fsnotify").doc("How changes are noticed."),
  poll_frequency: s.duration().default("1m").min(1).doc("Time between two looks at the file."),
});

export type ImportFileArguments = Infer<typeof importFileSchema>;
