import { Aws } from "#kits/aws";
import { AzureTokens } from "#kits/azure-token";
import { googleSigner } from "#kits/google-auth";
import type { RequestSigner } from "#kits/http/client";
import { type Infer, s } from "#lang/schema";

/** The blocks of an endpoint that prove to a cloud's own backend who sends: of Alloy's remotewrite/types.go. */

const UUID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const TENANT = /^[0-9a-zA-Z-.]+$/;
const MONITORING = "https://www.googleapis.com/auth/monitoring.write";

export const sigv4Schema = s
  .object({
    region: s.string().default("").doc("AWS region; the agent's own one if empty."),
    access_key: s.string().default("").doc("AWS access key; AWS's usual places are looked at if it is empty."),
    secret_key: s.secret().default("").doc("AWS secret key."),
    profile: s.string().default("").doc("Named AWS profile."),
    role_arn: s.string().default("").doc("AWS role to assume."),
    external_id: s.string().default("").doc("External id for the role."),
    use_fips_sts_endpoint: s.bool().default(false).doc("Use the FIPS endpoint of STS."),
    service_name: s.string().default("aps").doc("Service that the signature is for."),
  })
  .rule(
    "access_key",
    (a) => (a.access_key === "") === (a.secret_key.reveal() === ""),
    "and `secret_key` must be set together",
  )
  .rule("external_id", (a) => a.external_id === "" || a.role_arn !== "", "can only be used with `role_arn`");

const id = (what: string) => s.string().doc(`${what}: a UUID.`);
const tenant = () => s.string().doc("Id or domain of the tenant.");

/** Clouds of Azure: where to log in, and whom metrics are for. */
const AZURE_CLOUDS = {
  AzurePublic: { authority: "https://login.microsoftonline.com", scope: "https://monitor.azure.com//.default" },
  AzureChina: { authority: "https://login.chinacloudapi.cn", scope: "https://monitor.azure.cn//.default" },
  AzureGovernment: { authority: "https://login.microsoftonline.us", scope: "https://monitor.azure.us//.default" },
} as const;
const CLOUD_NAMES = Object.keys(AZURE_CLOUDS) as (keyof typeof AZURE_CLOUDS)[];

const managedIdentity = s
  .object({ client_id: id("Client id of the identity") })
  .rule("client_id", (a) => UUID.test(a.client_id), "is no UUID");
const workloadIdentity = s
  .object({
    client_id: id("Client id of the application or identity"),
    tenant_id: id("Id of the tenant"),
    token_file_path: s
      .string()
      .default("/var/run/secrets/azure/tokens/azure-identity-token")
      .doc("File with the token of the service account."),
  })
  .rule("client_id", (a) => UUID.test(a.client_id), "is no UUID")
  .rule("tenant_id", (a) => UUID.test(a.tenant_id), "is no UUID");
const oauth = s
  .object({
    client_id: id("Client id of the application"),
    client_secret: s.secret().doc("Client secret."),
    tenant_id: tenant(),
  })
  .rule("client_id", (a) => UUID.test(a.client_id), "is no UUID")
  .rule("tenant_id", (a) => TENANT.test(a.tenant_id), "is no tenant: a UUID or a domain");
const sdk = s
  .object({ tenant_id: tenant() })
  .rule("tenant_id", (a) => a.tenant_id === "" || TENANT.test(a.tenant_id), "is no tenant: a UUID or a domain");

export const azureadSchema = s
  .object({
    cloud: s.oneOf(CLOUD_NAMES).default("AzurePublic").doc("Azure cloud."),
    scope: s.string().default("").doc("Scope of the token; Azure Monitor's if empty."),
    managed_identity: s.block(managedIdentity).doc("Managed identity."),
    workload_identity: s.block(workloadIdentity).doc("Workload identity."),
    oauth: s.block(oauth).doc("OAuth of an application."),
    sdk: s.block(sdk).doc("What the environment says, as the Azure SDK reads it."),
  })
  .rule("scope", (a) => a.scope === "" || /^[\w\s:/.-]+$/.test(a.scope), "contains characters that no scope has")
  .rule(
    "managed_identity",
    (a) => [a.managed_identity, a.workload_identity, a.oauth, a.sdk].filter((each) => each !== undefined).length === 1,
    "or `workload_identity`, `oauth` or `sdk` must be there: exactly one of them",
  );

export const googleIamSchema = s.object({
  credentials_file: s
    .string()
    .default("")
    .doc("File with a key of a service account; what Google's own programs would use if it is empty."),
});

export interface CloudAuthentication {
  readonly sigv4: Infer<typeof sigv4Schema> | undefined;
  readonly azuread: Infer<typeof azureadSchema> | undefined;
  readonly google_iam: Infer<typeof googleIamSchema> | undefined;
}

/** How many of the blocks an endpoint has. */
export function cloudBlocks({ sigv4, azuread, google_iam }: CloudAuthentication): number {
  return [sigv4, azuread, google_iam].filter((each) => each !== undefined).length;
}

/** Signs the requests of an endpoint with the cloud's block that it has; undefined without one. */
export function cloudSigner({ sigv4, azuread, google_iam }: CloudAuthentication): RequestSigner | undefined {
  if (sigv4 !== undefined) {
    const aws = new Aws({
      region: sigv4.region,
      accessKey: sigv4.access_key,
      secretKey: sigv4.secret_key,
      profile: sigv4.profile,
      roleArn: sigv4.role_arn,
      externalId: sigv4.external_id,
      useFips: sigv4.use_fips_sts_endpoint,
    });
    return aws.signer(sigv4.service_name || "aps");
  }
  if (azuread !== undefined) {
    const tokens = azureTokens(azuread);
    return async () => ({ authorization: `Bearer ${await tokens.token()}` });
  }
  return google_iam && googleSigner(MONITORING, google_iam.credentials_file);
}

function azureTokens(args: Infer<typeof azureadSchema>): AzureTokens {
  const { authority, scope } = AZURE_CLOUDS[args.cloud];
  const options = { authority, scopes: [args.scope || scope] };
  const { managed_identity: managed, workload_identity: workload, oauth: login } = args;
  if (managed !== undefined) return new AzureTokens({ kind: "managed_identity", client: managed.client_id }, options);
  if (workload !== undefined) {
    const { tenant_id: tenant, client_id: client, token_file_path: tokenFile } = workload;
    return new AzureTokens({ kind: "workload_identity", tenant, client, tokenFile }, options);
  }
  if (login !== undefined) {
    const { tenant_id: tenant, client_id: client, client_secret: secret } = login;
    return new AzureTokens({ kind: "client_secret", tenant, client, secret }, options);
  }
  return new AzureTokens({ kind: "environment", tenant: args.sdk?.tenant_id ?? "" }, options);
}
