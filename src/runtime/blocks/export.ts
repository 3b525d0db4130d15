import { s } from "#lang/schema";

/** `export "name" { … }` in a `declare` block or a module: a value that the user of the module can refer to. */
export const exportSchema = s.object({
  value: s.any().doc("What is exported."),
});
