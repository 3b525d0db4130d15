import { Aws } from "#kits/aws";
import { authExports, type ClientAuth } from "#kits/otelcol/auth";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { s } from "#lang/schema";
import { Secret } from "#lang/value";
import { defineComponent } from "#pipeline/component";

const args = s.object({
  region: s.string().default("").doc("Region of the service; unless given, that in the address, or the agent's own."),
  service: s.string().default("").doc("Service to sign for; unless given, that in the address."),
  assume_role: s
    .block(
      s.object({
        arn: s.string().default("").doc("Role to assume."),
        session_name: s.string().default("").doc("Name of the sessions with the role."),
        sts_region: s.string().default("").doc("Region of the STS that gives the role; `region` unless given."),
      }),
    )
    .presentByDefault()
    .doc("A role to assume with the agent's credentials."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});

/** Services by how the names of their hosts begin, with the region behind the first dot. */
const SERVICES: readonly (readonly [prefix: string, service: string])[] = [
  ["aps-workspaces", "aps"],
  ["search-", "es"],
  ["logs", "logs"],
  ["xray", "xray"],
  ["monitoring", "monitoring"],
];

export default defineComponent({
  name: "otelcol.auth.sigv4",
  stability: "generally-available",
  summary: "Signs requests to services of AWS with Signature Version 4.",
  example: `otelcol.auth.sigv4 "default" {
  region  = "us-east-1"
  service = "xray"
}`,
  args,
  exports: authExports,

  start(ctx, { region, service, assume_role: role }) {
    const aws = new Aws({
      region,
      accessKey: "",
      secretKey: new Secret(""),
      profile: "",
      roleArn: role.arn,
      externalId: "",
      sessionName: role.session_name,
      stsRegion: role.sts_region,
      useFips: false,
    });

    const client: ClientAuth = async ({ method, url: text, headers, body }, signal) => {
      const url = new URL(text);
      const found = ofHost(url.host);
      const wanted = service || found.service;
      if (wanted === "") {
        throw new Error(`the service of ${url.host} is not known: set \`service\`, such as "xray" or "aps"`);
      }
      const sign = aws.signer(wanted, { signingRegion: region || found.region });
      const signed = await sign({ method, url, headers: Object.fromEntries(headers), body }, signal);
      for (const [name, value] of Object.entries(signed)) headers.set(name, value);
    };
    ctx.export({ handler: { componentId: ctx.id, client, server: undefined, isHttpOnly: true } });
  },
});

/** The service and region that a host's name tells, as sigv4authextension of the Collector reads it. */
function ofHost(host: string): { readonly service: string; readonly region: string } {
  const [, service = ""] = SERVICES.find(([prefix]) => host.startsWith(prefix)) ?? [];
  const parts = host.split(".");
  return { service, region: service !== "" && parts.length > 2 ? parts[1]! : "" };
}
