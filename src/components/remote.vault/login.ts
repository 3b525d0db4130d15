import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Aws } from "#kits/aws";
import { AzureTokens } from "#kits/azure-token";
import { googleSigner } from "#kits/google-auth";
import { Secret } from "#lang/value";
import type { AwsAuth, AzureAuth, GoogleAuth, VaultAuth } from "./arguments.ts";
import type { VaultAnswer, VaultClient } from "./vault-client.ts";

const METADATA_MS = 5_000;
const AWS_METADATA = "http://169.254.169.254";
const AZURE_METADATA = "http://169.254.169.254";
const GOOGLE_METADATA = "http://metadata.google.internal";
const GOOGLE_IAM = "https://iamcredentials.googleapis.com";

/**
 * Logs in, so that the client has a token. Gives what Vault answered, with the token's lease; undefined for a token that
 * was known. Rejects with what failed. Sends what Vault's Go modules `api/auth/*` send.
 */
export async function login(
  auth: VaultAuth,
  vault: VaultClient,
  signal: AbortSignal,
): Promise<VaultAnswer | undefined> {
  vault.token = "";
  if (auth.kind === "token") {
    vault.token = auth.args.token.reveal();
    return undefined;
  }
  const namespace = auth.kind === "custom" ? auth.args.namespace : "";
  const { path, body } = await credentials(auth, vault, signal);
  const answer = await vault.write(path, body, signal, { namespace });
  if (answer.auth === undefined)
    throw new Error(`Vault gave no token for ${path}: check the \`auth.${auth.kind}\` block`);
  vault.token = answer.auth.token;
  return answer;
}

interface Credentials {
  readonly path: string;
  readonly body: object;
}

async function credentials(
  auth: Exclude<VaultAuth, { kind: "token" }>,
  vault: VaultClient,
  signal: AbortSignal,
): Promise<Credentials> {
  const { kind, args } = auth;
  const mount = auth.kind === "custom" ? "" : auth.args.mount_path;
  const at = (body: object): Credentials => ({ path: `auth/${mount}/login`, body });
  switch (kind) {
    case "approle": {
      const secret = args.secret.reveal();
      return at({
        role_id: args.role_id,
        secret_id: args.wrapping_token ? await unwrap(secret, vault, signal) : secret,
      });
    }
    case "userpass":
    case "ldap":
      return { path: `auth/${args.mount_path}/login/${args.username}`, body: { password: args.password.reveal() } };
    case "kubernetes":
      return at({ role: args.role, jwt: (await readFile(args.service_account_file, "utf8")).trim() });
    case "custom": {
      const data = [...args.data].map(([name, value]) => [name, value.reveal()]);
      return { path: args.path, body: Object.fromEntries(data) };
    }
    case "aws":
      return at(args.type === "iam" ? await awsIdentity(args, signal) : await instanceIdentity(args));
    case "azure":
      return at(await azureIdentity(args));
    case "gcp":
      return at(await googleIdentity(args, signal));
  }
}

async function unwrap(token: string, vault: VaultClient, signal: AbortSignal): Promise<string> {
  const { data } = await vault.write("sys/wrapping/unwrap", {}, signal, { token });
  const secret = data.get("secret_id");
  if (typeof secret !== "string") throw new Error("the wrapping token does not hold a secret id: check `secret`");
  return secret;
}

/** A signed question to STS, which Vault asks in the agent's stead. */
async function awsIdentity({ region, role, iam_server_id_header }: AwsAuth, signal: AbortSignal): Promise<object> {
  const aws = new Aws({
    region,
    accessKey: "",
    secretKey: new Secret(""),
    profile: "",
    roleArn: "",
    externalId: "",
    useFips: false,
  });
  const url = new URL(region === "us-east-1" ? "https://sts.amazonaws.com/" : `https://sts.${region}.amazonaws.com/`);
  const body = "Action=GetCallerIdentity&Version=2011-06-15";
  const headers = {
    "content-type": "application/x-www-form-urlencoded; charset=utf-8",
    "content-length": String(body.length),
    ...(iam_server_id_header !== "" && { "x-vault-aws-iam-server-id": iam_server_id_header }),
  };
  const signed = await aws.signer("sts")({ method: "POST", url, headers, body }, signal);
  const all = Object.entries({ host: url.host, ...headers, ...signed }).map(([name, value]) => [name, [value]]);
  return {
    role,
    iam_http_request_method: "POST",
    iam_request_url: base64(url.href),
    iam_request_body: base64(body),
    iam_request_headers: base64(JSON.stringify(Object.fromEntries(all))),
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

async function instanceIdentity({ role, ec2_signature_type }: AwsAuth): Promise<object> {
  const base = process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT || AWS_METADATA;
  const ttl = { "x-aws-ec2-metadata-token-ttl-seconds": "60" };
  const token = await metadata(new URL("/latest/api/token", base), ttl, "PUT");
  const ask = (name: string) =>
    metadata(new URL(`/latest/dynamic/instance-identity/${name}`, base), { "x-aws-ec2-metadata-token": token });
  const proof =
    ec2_signature_type === "pkcs7"
      ? { pkcs7: (await ask("pkcs7")).replaceAll("\n", "") }
      : { identity: base64(await ask("document")), signature: (await ask("signature")).replaceAll("\n", "") };
  return { role, nonce: randomUUID(), ...proof };
}

async function azureIdentity({ role, resource_url }: AzureAuth): Promise<object> {
  const tokens = new AzureTokens({ kind: "managed_identity", client: "" }, { scopes: [resource_url] });
  const jwt = await tokens.token();
  const base = process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST || AZURE_METADATA;
  const text = await metadata(new URL("/metadata/instance?api-version=2021-05-01", base), { Metadata: "true" });
  const compute = (JSON.parse(text) as { compute?: Record<string, unknown> }).compute ?? {};
  return {
    role,
    jwt,
    subscription_id: compute.subscriptionId,
    resource_group_name: compute.resourceGroupName,
    vm_name: compute.name,
    vmss_name: compute.vmScaleSetName,
  };
}

async function googleIdentity(args: GoogleAuth, signal: AbortSignal): Promise<object> {
  const { role, type, iam_service_account: account } = args;
  if (type === "gce") {
    const host = process.env.GCE_METADATA_HOST;
    const url = new URL(
      "/computeMetadata/v1/instance/service-accounts/default/identity",
      host === undefined ? GOOGLE_METADATA : `http://${host}`,
    );
    url.search = new URLSearchParams({ audience: `http://vault/${role}`, format: "full" }).toString();
    return { role, jwt: await metadata(url, { "Metadata-Flavor": "Google" }) };
  }
  const claims = { aud: `http://vault/${role}`, sub: account, exp: Math.floor(Date.now() / 1_000) + 900 };
  const url = new URL(`${GOOGLE_IAM}/v1/projects/-/serviceAccounts/${encodeURIComponent(account)}:signJwt`);
  const body = JSON.stringify({ payload: JSON.stringify(claims) });
  const request = { method: "POST", url, headers: {}, body };
  const authorization = await googleSigner("https://www.googleapis.com/auth/cloud-platform", "")(request, signal);
  const response = await fetch(url, {
    method: "POST",
    body,
    headers: { ...authorization, "content-type": "application/json" },
    signal: AbortSignal.any([signal, AbortSignal.timeout(METADATA_MS)]),
  });
  const { signedJwt } = (await response.json().catch(() => ({}))) as { signedJwt?: string };
  if (signedJwt === undefined) {
    throw new Error(
      `Google signs nothing for ${account} (status ${response.status}): allow iam.serviceAccounts.signJwt`,
    );
  }
  return { role, jwt: signedJwt };
}

/** What the machine knows about itself. Rejects where there is no such service. */
async function metadata(url: URL, headers: Readonly<Record<string, string>>, method = "GET"): Promise<string> {
  try {
    const response = await fetch(url, { method, headers, signal: AbortSignal.timeout(METADATA_MS) });
    if (response.ok) return await response.text();
    throw new Error(`status ${response.status}`);
  } catch (error) {
    throw new Error(
      `the machine's metadata cannot be had from ${url.origin} (${(error as Error).message}): this login works on a machine of that cloud only`,
      { cause: error },
    );
  }
}
