import { createHash, timingSafeEqual } from "node:crypto";
import { AuthenticationError, type AuthHandler, authExports } from "#kits/otelcol/auth";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const args = s.object({
  scheme: s.string().default("Bearer").doc("Word before the token; empty for none."),
  token: s.secret().doc("The token to send, or to accept."),
  header: s.string().default("Authorization").doc("Header that carries the token."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});

export default defineComponent({
  name: "otelcol.auth.bearer",
  stability: "generally-available",
  summary: "Bearer token authentication for clients and servers of OTLP.",
  example: `otelcol.auth.bearer "default" {
  token = "secret"
}`,
  args,
  exports: authExports,

  start(ctx, first) {
    const handler = ({ scheme, token, header }: Infer<typeof args>): AuthHandler => {
      const name = header.toLowerCase();
      const expected = scheme === "" ? token.reveal() : `${scheme} ${token.reveal()}`;
      return {
        componentId: ctx.id,
        client: ({ headers }) => void headers.set(name, expected),
        server(headers) {
          const given = headers.get(name);
          if (given === undefined) throw new AuthenticationError(`missing or empty authorization header: ${header}`);
          if (!same(given, expected)) throw new AuthenticationError("scheme or token does not match");
        },
      };
    };
    ctx.export({ handler: handler(first) });
    return { update: (next) => ctx.export({ handler: handler(next) }) };
  },
});

/** Compares in a time that tells nothing about where two texts differ. */
function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
