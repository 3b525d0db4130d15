import { authExports, type ClientAuth } from "#kits/otelcol/auth";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { tlsClientSchema, uselessInsecure } from "#kits/otelcol/tls";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { SIGNATURE_ALGORITHMS, TokenSource } from "./token-source.ts";

const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";

export const oauth2Arguments = s
  .object({
    client_id: s.string().default("").doc("Identity of the client."),
    client_id_file: s.string().default("").doc("File with the identity of the client."),
    client_secret: s.secret().default("").doc("Secret of the client."),
    client_secret_file: s.string().default("").doc("File with the secret of the client."),
    client_certificate_key_id: s.string().default("").doc("Key id that JWTs name."),
    client_certificate_key: s.secret().default("").doc("Private key in PEM that signs JWTs."),
    client_certificate_key_file: s.string().default("").doc("File with the private key that signs JWTs."),
    grant_type: s
      .oneOf(["client_credentials", JWT_BEARER])
      .default("client_credentials")
      .doc("How tokens are asked for."),
    signature_algorithm: s.oneOf(SIGNATURE_ALGORITHMS).default("RS256").doc("How JWTs are signed."),
    iss: s.string().default("").doc("Issuer in JWTs; the client's identity unless given."),
    audience: s.string().default("").doc("Audience in JWTs; the token URL unless given."),
    claims: s.map(s.any()).default({}).doc("Further claims of JWTs."),
    token_url: s.string().doc("Where tokens are fetched."),
    endpoint_params: s.map(s.list(s.string())).default({}).doc("Further parameters of the request for a token."),
    scopes: s.list(s.string()).default([]).doc("Permissions to ask for."),
    timeout: s.duration().default("0s").doc("Time for a token to be fetched; 0 for none."),
    expiry_buffer: s.duration().default("5m").doc("Time before its expiry at which a token is replaced."),
    tls: s.block(tlsClientSchema).presentByDefault().doc("TLS towards the token server."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("client_id", (a) => a.client_id !== "" || a.client_id_file !== "", "or `client_id_file` is required")
  .rule(
    "client_secret",
    (a) => a.grant_type === JWT_BEARER || a.client_secret.reveal() !== "" || a.client_secret_file !== "",
    "or `client_secret_file` is required",
  )
  .rule(
    "client_certificate_key",
    (a) =>
      a.grant_type !== JWT_BEARER || a.client_certificate_key.reveal() !== "" || a.client_certificate_key_file !== "",
    "or `client_certificate_key_file` is required for this grant type",
  )
  .rule("token_url", (a) => URL.canParse(a.token_url), "must be a URL")
  .suspect((a) => uselessInsecure("tls", a.tls, a.token_url));

export default defineComponent({
  name: "otelcol.auth.oauth2",
  stability: "generally-available",
  summary: "Fetches OAuth 2.0 tokens and adds them to requests.",
  example: `otelcol.auth.oauth2 "default" {
  client_id     = "agent"
  client_secret = "secret"
  token_url     = "https://example.com/oauth2/token"
}`,
  args: oauth2Arguments,
  exports: authExports,

  start(ctx, args) {
    const tokens = new TokenSource(args, ctx.clock);
    ctx.stack.defer(() => tokens.close());
    const client: ClientAuth = async ({ headers }, signal) => {
      headers.set("authorization", await tokens.header(signal));
    };
    ctx.export({ handler: { componentId: ctx.id, client, server: undefined } });
  },
});
