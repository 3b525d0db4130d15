import { type Infer, s } from "#lang/schema";
import { Secret } from "#lang/value";
import { AzureTokens } from "../azure-token.ts";
import { type TlsClientConfig, tlsClientConfigSchema } from "../http/client-schema.ts";
import type { KafkaSecurity } from "./connection.ts";
import { KafkaError } from "./errors.ts";
import { SASL_MECHANISMS } from "./sasl.ts";

/** The `authentication` block of Alloy's Kafka source (internal/component/loki/source/kafka/kafka.go). */

const oauthSchema = s.object({
  token_provider: s.oneOf(["azure"]).doc("Who gives the tokens: `azure` for Microsoft Entra ID."),
  scopes: s
    .list(s.string())
    .min(1)
    .doc("Scopes to ask for, such as `https://NAMESPACE.servicebus.windows.net/.default`."),
});

const saslSchema = s.object({
  mechanism: s.oneOf(SASL_MECHANISMS).default("PLAIN").doc("SASL mechanism."),
  user: s.string().default("").doc("User name, for every mechanism but OAUTHBEARER."),
  password: s.secret().default("").doc("Password, for every mechanism but OAUTHBEARER."),
  use_tls: s.bool().default(false).doc("Log in over TLS."),
  tls_config: s.block(tlsClientConfigSchema).presentByDefault().doc("TLS towards brokers, with `use_tls`."),
  oauth_config: s.block(oauthSchema).doc("Where tokens come from, for OAUTHBEARER."),
});
type Sasl = Infer<typeof saslSchema>;

export const kafkaAuthenticationSchema = s
  .object({
    type: s.oneOf(["none", "ssl", "sasl", ""]).default("none").doc("`none`, `ssl` for TLS, or `sasl`."),
    tls_config: s.block(tlsClientConfigSchema).presentByDefault().doc("TLS towards brokers, for the type `ssl`."),
    sasl_config: s.block(saslSchema).presentByDefault().doc("Login, for the type `sasl`."),
  })
  .rule(
    "sasl_config",
    (a) => a.type !== "sasl" || saslProblem(a.sasl_config) === undefined,
    (a) => saslProblem(a.sasl_config)!,
  )
  .suspect((a) => {
    const { mechanism, use_tls, tls_config } = a.sasl_config;
    const found = [];
    if (a.type === "sasl" && mechanism === "PLAIN" && !use_tls) {
      const message = "sends the password over the network as it is";
      found.push({ field: "sasl_config" as const, message, hint: "set `use_tls = true`, or use a SCRAM mechanism" });
    }
    if (a.type !== "ssl" && isSet(a.tls_config)) {
      const hint = a.type === "sasl" ? "write it into `sasl_config`, with `use_tls = true`" : 'set `type = "ssl"`';
      found.push({ field: "tls_config" as const, message: 'has no effect unless `type` is "ssl"', hint });
    }
    if (a.type === "sasl" && !use_tls && isSet(tls_config)) {
      const message = "has a `tls_config` without effect";
      found.push({ field: "sasl_config" as const, message, hint: "set `use_tls = true`" });
    }
    if (a.type !== "sasl" && a.sasl_config.user !== "") {
      const message = 'has no effect unless `type` is "sasl"';
      found.push({ field: "sasl_config" as const, message, hint: 'set `type = "sasl"`' });
    }
    return found;
  });

export type KafkaAuthentication = Infer<typeof kafkaAuthenticationSchema>;

function saslProblem({ mechanism, user, password, oauth_config }: Sasl): string | undefined {
  if (mechanism === "OAUTHBEARER") {
    return oauth_config === undefined
      ? "has no `oauth_config`: OAUTHBEARER needs to know where tokens come from"
      : undefined;
  }
  if (user === "") return `has no \`user\`, which ${mechanism} needs`;
  return password.reveal() === "" ? `has no \`password\`, which ${mechanism} needs` : undefined;
}

function isSet(config: TlsClientConfig): boolean {
  const { ca_pem, ca_file, cert_pem, cert_file, server_name, insecure_skip_verify } = config;
  return insecure_skip_verify || Boolean(ca_pem || ca_file || cert_pem || cert_file || server_name);
}

/** How to reach brokers by these arguments. */
export function kafkaSecurity({ type, tls_config, sasl_config }: KafkaAuthentication): KafkaSecurity {
  if (type === "ssl") return { tls: tls_config, sasl: undefined };
  if (type !== "sasl") return { tls: undefined, sasl: undefined };
  const { mechanism, user, password, use_tls, oauth_config } = sasl_config;
  const tokens =
    oauth_config === undefined ? undefined : new AzureTokens({ kind: "environment", tenant: "" }, oauth_config);
  return {
    tls: use_tls ? sasl_config.tls_config : undefined,
    sasl: {
      mechanism,
      user,
      password: () => password.reveal(),
      token: async () => {
        if (tokens === undefined) throw new KafkaError("configuration", "OAUTHBEARER needs `oauth_config`");
        try {
          return await tokens.token();
        } catch (error) {
          throw new KafkaError("authentication", (error as Error).message);
        }
      },
    },
  };
}

/** Arguments as a text that differs when they do; secrets included, since it goes nowhere. */
export function kafkaFingerprint(values: unknown): string {
  return JSON.stringify(values, (_, value) => (value instanceof Secret ? value.reveal() : value));
}
