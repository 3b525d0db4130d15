import { type AuthHandler, authExports } from "#kits/otelcol/auth";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const headerSchema = s
  .object({
    key: s.string().doc("Name of the header."),
    value: s.optionalSecret().optional().doc("Value of the header."),
    from_context: s.string().optional().doc("Client metadata whose value the header gets."),
    from_attribute: s
      .string()
      .optional()
      .doc(
        "What authentication told of the client and the header gets: `username` or `raw` (user and password in Base64) where the receiver has `otelcol.auth.basic`; empty otherwise, and behind `otelcol.processor.batch` and queues on disk.",
      ),
    action: s
      .oneOf(["insert", "update", "upsert", "delete"], { ignoreCase: true })
      .default("upsert")
      .doc("Whether the header is added, replaced, either, or removed."),
  })
  .rule("key", (a) => a.key !== "", "must be set to a non-empty string")
  .rule(
    "value",
    (a) => [a.value, a.from_context, a.from_attribute].some((each) => each !== undefined),
    "or `from_context` or `from_attribute` must be provided",
  )
  .rule(
    "value",
    (a) => [a.value, a.from_context, a.from_attribute].filter((each) => each !== undefined).length <= 1,
    "excludes `from_context` and `from_attribute`: only one may be provided",
  );

const args = s.object({
  header: s.blocks(headerSchema).doc("Headers, changed in order."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});

export default defineComponent({
  name: "otelcol.auth.headers",
  stability: "generally-available",
  summary: "Sets headers of requests, from the configuration or from what clients sent.",
  example: `otelcol.auth.headers "default" {
  header {
    key          = "X-Scope-OrgID"
    from_context = "X-Scope-OrgID"
  }
}`,
  args,
  exports: authExports,

  start(ctx, first) {
    const handler = (given: Infer<typeof args>): AuthHandler => ({
      componentId: ctx.id,
      server: undefined,
      client({ headers, clientMetadata, clientAttributes }) {
        for (const { key, value, from_context: context, from_attribute: attribute, action } of given.header) {
          const name = key.toLowerCase();
          if (action === "delete") {
            headers.delete(name);
            continue;
          }
          let text: string | undefined;
          if (context !== undefined) text = clientMetadata?.get(context.toLowerCase())?.join(", ");
          else if (attribute !== undefined) text = clientAttributes?.get(attribute);
          else text = typeof value === "object" ? value.reveal() : value;
          // As in the Collector, a client that sent nothing makes the header empty.
          if (action === "insert" && headers.has(name)) continue;
          if (action === "update" && !headers.has(name)) continue;
          headers.set(name, text ?? "");
        }
      },
    });
    ctx.export({ handler: handler(first) });
    return { update: (next) => ctx.export({ handler: handler(next) }) };
  },
});
