import { s } from "#lang/schema";

/** `foreach "label" { … }`: runs the pipeline of its template once for each item. The runtime reads the template's body. */
export const foreachSchema = s.object({
  collection: s.list(s.any()).doc("The items."),
  var: s.string().nonEmpty().doc("The name by which the template refers to its item."),
  id: s.string().default("").doc("The field of the items that tells them apart; the whole item if empty."),
  hash_string_id: s.bool().default(false).doc("Whether identifiers that are text are hashed."),
  enable_metrics: s.bool().default(false).doc("Whether the metrics of the components inside are exposed."),
  template: s.rawBlock().doc("The components that run for each item."),
});
