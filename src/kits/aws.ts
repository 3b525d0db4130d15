import { errorText } from "#base/log";
import type { Secret } from "#lang/value";
import type { RequestSigner } from "./http/client.ts";

/** Who asks AWS, as the configuration says; empty texts stand for what the environment says. */
export interface AwsIdentity {
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: Secret;
  /** A profile of the shared configuration files. */
  readonly profile: string;
  /** A role to assume with the credentials above. */
  readonly roleArn: string;
  readonly externalId: string;
  /** The name of sessions with the role, and the region of the STS that gives them; empty for the usual ones. */
  readonly sessionName?: string;
  readonly stsRegion?: string;
  /** Whether roles are assumed at the FIPS endpoint of STS. */
  readonly useFips: boolean;
}

/** Where instances learn about themselves; the SDK's variable for another address of it. */
const METADATA = "http://169.254.169.254";
const METADATA_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const METADATA_MS = 2_000;

/**
 * An identity at AWS: its region, and its credentials from where AWS's own programs find them (arguments, environment,
 * shared files, web identity, container and instance metadata), renewed before they end. The AWS SDK, which knows all
 * those places, is loaded with the first request.
 */
export class Aws {
  readonly #identity: AwsIdentity;
  readonly #credentials: () => Promise<Credentials>;
  #region: string | undefined;

  constructor(identity: AwsIdentity) {
    this.#identity = identity;
    let provider: Promise<() => Promise<Credentials>> | undefined;
    this.#credentials = async () => {
      provider ??= this.#provider();
      return (await provider)();
    };
  }

  /** The region that requests go to. Rejects with an Error that says where it can be set. */
  async region(): Promise<string> {
    this.#region ??= this.#identity.region || (await this.#configuredRegion()) || (await instanceRegion());
    if (this.#region === "") {
      throw new Error(
        "no AWS region is known: set `region` (in the block `client` or `sigv4` where there is one), or AWS_REGION in the agent's environment",
      );
    }
    return this.#region;
  }

  /** Signs requests to a service with Signature Version 4, as `@smithy/signature-v4` does. */
  signer(service: string, options: { readonly signingRegion?: string; readonly isS3?: boolean } = {}): RequestSigner {
    return async ({ method, url, headers, body }) => {
      const [{ SignatureV4 }, { Sha256 }] = await Promise.all([
        import("@smithy/signature-v4"),
        import("@smithy/core/checksum"),
      ]);
      const signature = new SignatureV4({
        service,
        region: options.signingRegion || (await this.region()),
        credentials: await this.#known(),
        sha256: Sha256,
        uriEscapePath: options.isS3 !== true, // S3 takes the path as it is
      });
      const plain = new Map<string, string>([["host", url.host]]);
      for (const [name, value] of Object.entries(headers)) {
        plain.set(name.toLowerCase(), typeof value === "string" ? value : value.join(","));
      }
      const query: Record<string, string[]> = Object.create(null);
      for (const [name, value] of url.searchParams) (query[name] ??= []).push(value);
      const signed = await signature.sign({
        method,
        protocol: url.protocol,
        hostname: url.hostname,
        path: url.pathname,
        query,
        headers: Object.fromEntries(plain),
        body,
      });
      return Object.fromEntries(Object.entries(signed.headers).filter(([name]) => !plain.has(name)));
    };
  }

  async #known(): Promise<Credentials> {
    try {
      return await this.#credentials();
    } catch (error) {
      throw new Error(
        `no AWS credentials could be had: ${errorText(error)}. Set access_key and secret_key, a profile, or what the AWS SDK looks for (environment, shared files, web identity, metadata of the container or instance)`,
        { cause: error },
      );
    }
  }

  async #provider(): Promise<() => Promise<Credentials>> {
    const { accessKey, secretKey, profile, roleArn, externalId, useFips, sessionName, stsRegion } = this.#identity;
    const { fromNodeProviderChain, fromTemporaryCredentials } = await import("@aws-sdk/credential-providers");
    const { memoize } = await import("@smithy/core/config");
    const fixed = { accessKeyId: accessKey, secretAccessKey: secretKey.reveal() };
    const own = accessKey === "" ? fromNodeProviderChain({ ...(profile !== "" && { profile }) }) : async () => fixed;
    const chosen =
      roleArn === ""
        ? own
        : fromTemporaryCredentials({
            masterCredentials: own,
            params: {
              RoleArn: roleArn,
              ...(externalId !== "" && { ExternalId: externalId }),
              ...(sessionName && { RoleSessionName: sessionName }),
            },
            clientConfig: { region: stsRegion || (await this.region()), ...(useFips && { useFipsEndpoint: true }) },
          });
    const endsSoon = ({ expiration }: Credentials) =>
      (expiration?.getTime() ?? Number.POSITIVE_INFINITY) - Date.now() < RENEW_MS;
    return memoize<Credentials>(chosen, endsSoon, ({ expiration }) => expiration !== undefined);
  }

  async #configuredRegion(): Promise<string> {
    const { loadConfig, NODE_REGION_CONFIG_OPTIONS, NODE_REGION_CONFIG_FILE_OPTIONS } = await import(
      "@smithy/core/config"
    );
    const { profile } = this.#identity;
    const options = { ...NODE_REGION_CONFIG_FILE_OPTIONS, ...(profile !== "" && { profile }) };
    // It rejects where no file and no variable names a region.
    return loadConfig(NODE_REGION_CONFIG_OPTIONS, options)().catch(() => "");
  }
}

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

/** Credentials are renewed so long before they end. */
const RENEW_MS = 5 * 60_000;

/** The region of the instance on which the agent runs; empty elsewhere. Version 2 of the metadata service. */
async function instanceRegion(): Promise<string> {
  const base = process.env[METADATA_VARIABLE] || METADATA;
  if (process.env.AWS_EC2_METADATA_DISABLED === "true") return "";
  try {
    const token = await fetch(new URL("/latest/api/token", base), {
      method: "PUT",
      headers: { "x-aws-ec2-metadata-token-ttl-seconds": "60" },
      signal: AbortSignal.timeout(METADATA_MS),
    });
    if (!token.ok) return "";
    const region = await fetch(new URL("/latest/meta-data/placement/region", base), {
      headers: { "x-aws-ec2-metadata-token": await token.text() },
      signal: AbortSignal.timeout(METADATA_MS),
    });
    return region.ok ? (await region.text()).trim() : "";
  } catch {
    return ""; // nobody there: this is no instance
  }
}
