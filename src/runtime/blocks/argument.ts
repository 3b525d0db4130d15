import { s } from "#lang/schema";

/** `argument "name" { … }` in a `declare` block or a module: a value that whoever uses the module gives. */
export const argumentSchema = s.object({
  optional: s.bool().default(false).doc("Whether the argument may be left out."),
  default: s.any().default(null).doc("The value when the argument is left out."),
  comment: s.string().default("").doc("What the argument is for."),
});
