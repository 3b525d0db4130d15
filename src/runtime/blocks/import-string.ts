import { s } from "#lang/schema";

/** `import.string "namespace" { … }`: custom components from a text, such as the content of a file or of an HTTP reply. */
export const importStringSchema = s.object({
  content: s.optionalSecret().doc("The configuration that declares the custom components."),
});
