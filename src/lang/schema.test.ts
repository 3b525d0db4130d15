import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Labels } from "#base/labels";
import type { Regex } from "#base/regex";
import { type ConsumerTypes, type Infer, s } from "./schema.ts";
import type { Secret } from "./value.ts";

type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false;
/** A compile error unless the two types are identical. */
function same<A, B>(..._proof: Same<A, B> extends true ? [] : [never]): void {}

const tls = s.object({ ca_file: s.string().default(""), insecure: s.bool().default(false) });
const body = s
  .object({
    name: s.string().nonEmpty().doc("A name."),
    password: s.secret().optional(),
    token: s.optionalSecret().default(""),
    count: s.int(1, 10).default(3),
    interval: s.duration().default("30s"),
    pattern: s.regex().optional(),
    action: s.oneOf(["keep", "drop"]).default("keep"),
    headers: s.map(s.list(s.secret())).default({}),
    targets: s.targets(),
    forward_to: s.list(s.consumer("logs")),
    cache: s.record({ size: s.int().default(0), name: s.string() }).optional(),
    tls: s.block(tls).presentByDefault(),
    auth: s.block(tls),
    must: s.block(tls).required(),
    rule: s.blocks(tls).labelled(),
    stage: s.enumBlocks({ json: tls, drop: s.object({ value: s.string() }) }),
  })
  .rule("count", (a) => a.count < 5 || a.action === "drop", "is too large to keep");

test("static types follow the schema", () => {
  type A = Infer<typeof body>;
  type Tls = { readonly ca_file: string; readonly insecure: boolean };
  same<A["name"], string>();
  same<A["password"], Secret | undefined>();
  same<A["token"], Secret | string>();
  same<A["count"], number>();
  same<A["interval"], number>();
  same<A["pattern"], Regex | undefined>();
  same<A["action"], "keep" | "drop">();
  same<A["headers"], ReadonlyMap<string, readonly Secret[]>>();
  same<A["targets"], readonly Labels[]>();
  same<A["forward_to"], readonly ConsumerTypes["logs"][]>();
  same<A["cache"], { readonly size: number; readonly name: string } | undefined>();
  same<A["tls"], Tls>();
  same<A["auth"], Tls | undefined>();
  same<A["must"], Tls>();
  same<A["rule"], readonly (Tls & { readonly label: string })[]>();
  same<
    A["stage"],
    readonly (
      | { readonly kind: "json"; readonly args: Tls }
      | { readonly kind: "drop"; readonly args: { readonly value: string } }
    )[]
  >();
  // @ts-expect-error a default must be one of the values
  s.oneOf(["a", "b"]).default("c");
  // @ts-expect-error a rule names a field
  body.rule("nothing", () => true, "");
});

test("types are written as in the catalogue", () => {
  const types = new Map<string, string>();
  for (const [name, field] of body.fields) if (field.node === "attribute") types.set(name, field.typeText);
  assert.deepEqual(Object.fromEntries(types), {
    name: "string",
    password: "secret",
    token: "optional_secret",
    count: "int",
    interval: "duration",
    pattern: "string",
    action: "string",
    headers: "map(list(secret))",
    targets: "list(map(string))",
    forward_to: "list(capsule(loki.LogsReceiver))",
    cache: "object",
  });
});

test("modifiers copy and leave the original alone", () => {
  const first = s.int();
  const second = first
    .default(3)
    .min(1)
    .max(9)
    .doc("A number.")
    .experimental()
    .deprecated("use more")
    .unsupported("no");
  assert.equal(first.isRequired, true);
  assert.equal(first.documentation, "");
  assert.deepEqual(
    [second.isRequired, second.defaultValue, second.minimum, second.maximum, second.documentation],
    [false, 3, 1, 9, "A number."],
  );
  assert.deepEqual([second.isExperimental, second.deprecation, second.unsupportedReason], [true, "use more", "no"]);
  assert.equal(second.optional().defaultValue, undefined);
  const block = s.block(tls).presentByDefault({ insecure: true }).doc("TLS.");
  assert.deepEqual(block.overrides, { insecure: true });
  assert.equal(block.isPresentByDefault, true);
});
