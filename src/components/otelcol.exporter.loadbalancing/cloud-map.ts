import { Aws } from "#kits/aws";
import { Secret } from "#lang/value";
import type { LoadBalancingArguments } from "./arguments.ts";

type CloudMapArguments = NonNullable<LoadBalancingArguments["resolver"]["aws_cloud_map"]>;

const TARGET = "Route53AutoNaming_v20170314.DiscoverInstances";
/** As in the Collector, where nothing else says the region. */
const DEFAULT_REGION = "us-east-1";
/** The variables of AWS's SDKs for another address of the service. */
const ENDPOINT_VARIABLES = ["AWS_ENDPOINT_URL_SERVICEDISCOVERY", "AWS_ENDPOINT_URL"];

interface Instance {
  readonly Attributes?: Readonly<Record<string, string>>;
}

/**
 * The instances of a service in AWS Cloud Map. Matches resolver_aws_cloudmap.go of the Collector: credentials and region
 * from where AWS's own programs find them.
 */
export class CloudMap {
  readonly #args: CloudMapArguments;
  readonly #aws: Aws;

  constructor(args: CloudMapArguments) {
    this.#args = args;
    this.#aws = new Aws({
      region: "",
      accessKey: "",
      secretKey: new Secret(""),
      profile: "",
      roleArn: "",
      externalId: "",
      useFips: false,
    });
  }

  /** Rejects with an Error that says what to do. */
  async backends(signal: AbortSignal): Promise<string[]> {
    const { namespace, service_name, health_status, owner_account, port } = this.#args;
    const region = await this.#aws.region().catch(() => DEFAULT_REGION);
    const given = ENDPOINT_VARIABLES.map((name) => process.env[name]).find((each) => each);
    const url = new URL(given ?? `https://data-servicediscovery.${region}.amazonaws.com/`);
    const body = JSON.stringify({
      NamespaceName: namespace,
      ServiceName: service_name,
      HealthStatus: health_status,
      ...(owner_account !== "" && { OwnerAccount: owner_account }),
    });
    const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET };
    const sign = this.#aws.signer("servicediscovery", { signingRegion: region });
    const signed = await sign({ method: "POST", url, headers, body: Buffer.from(body) }, signal);
    const response = await fetch(url, { method: "POST", headers: { ...headers, ...signed }, body, signal });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(
        `AWS Cloud Map in ${region} refuses DiscoverInstances (status ${response.status}: ${text.slice(0, 200)}): check namespace, service_name, region and whether servicediscovery:DiscoverInstances is allowed`,
      );
    }
    const { Instances: instances = [] } = JSON.parse(text) as { readonly Instances?: readonly Instance[] };
    return instances.map(({ Attributes: attributes = {} }) => {
      return `${attributes.AWS_INSTANCE_IPV4 ?? ""}:${port ?? attributes.AWS_INSTANCE_PORT ?? ""}`;
    });
  }
}
