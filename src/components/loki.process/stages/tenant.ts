import { type Infer, s } from "#lang/schema";
import { labelSetter } from "../label-cache.ts";
import type { Stage, StageContext } from "../stage.ts";

/** The label by which stages tell loki.write the tenant. */
const TENANT_LABEL = "__tenant_id__";

export const tenantBody = s
  .object({
    label: s.string().default("").doc("Label that holds the tenant."),
    source: s.string().default("").doc("Extracted value that holds the tenant."),
    value: s.string().default("").doc("The tenant."),
  })
  .rule(
    "value",
    (args) => [args.label, args.source, args.value].filter((each) => each !== "").length === 1,
    "or `label` or `source` is required, and only one of them",
  )
  .doc("Sets the tenant to send the entry for.");

/** Alloy's stages/tenant.go: an empty tenant is not set. */
export function buildTenant(args: Infer<typeof tenantBody>, context: StageContext): Stage {
  const setter = labelSetter([TENANT_LABEL]);
  const slot = args.source === "" ? undefined : context.slots.of(args.source);
  const values: string[] = [args.value];
  const unmatched = context.unmatched("name no tenant", "there is no tenant, or an empty one");
  return {
    process(entry) {
      if (slot !== undefined) values[0] = entry.text(slot) ?? "";
      else if (args.label !== "") values[0] = entry.labels.get(args.label) ?? "";
      if (values[0] === "") unmatched.add();
      else entry.labels = setter.get(entry.labels, values);
      return true;
    },
  };
}
