import { s } from "#lang/schema";
import { argumentSchema } from "./argument.ts";
import { exportSchema } from "./export.ts";

/** The blocks of `declare "name" { … }` that are not components; the body as a whole is a module, which the runtime reads. */
export const declareSchema = s.object({
  argument: s.blocks(argumentSchema).labelled().doc("A value that the user of the custom component gives."),
  export: s.blocks(exportSchema).labelled().doc("A value that the user of the custom component can refer to."),
});
