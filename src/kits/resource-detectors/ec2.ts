import { systemClock } from "#base/clock";
import { errorText } from "#base/log";
import { compileRegex } from "#base/regex";
import { Secret } from "#lang/value";
import { Aws } from "../aws.ts";
import { clientDefaults, HttpClient } from "../http/client.ts";
import { type Detector, type DetectorContext, JsonObject, orUnavailable } from "./detector.ts";

const METADATA = "http://169.254.169.254";
const TOKEN_TTL_SECONDS = "300";

/** The metadata service of EC2 instances, version 2: a token first. AWS's variables for its address and to switch it off count. */
export class InstanceMetadata {
  readonly #context: DetectorContext;
  #token: string | undefined;

  constructor(context: DetectorContext) {
    this.#context = context;
  }

  async text(path: string, signal: AbortSignal): Promise<string> {
    const { environment, http, metadataBase } = this.#context;
    if (environment.AWS_EC2_METADATA_DISABLED?.toLowerCase() === "true") {
      throw new Error("AWS_EC2_METADATA_DISABLED is set");
    }
    const base = environment.AWS_EC2_METADATA_SERVICE_ENDPOINT || metadataBase || METADATA;
    this.#token ??= await http.text(
      {
        method: "PUT",
        url: new URL("/latest/api/token", base),
        headers: { "x-aws-ec2-metadata-token-ttl-seconds": TOKEN_TTL_SECONDS },
      },
      signal,
    );
    const headers = { "x-aws-ec2-metadata-token": this.#token };
    return http.text({ url: new URL(`/latest/${path}`, base), headers }, signal);
  }
  async identity(signal: AbortSignal): Promise<JsonObject> {
    return new JsonObject(JSON.parse(await this.text("dynamic/instance-identity/document", signal)));
  }
}

export interface Ec2Options {
  /** Expressions for the keys of tags. */
  readonly tags: readonly string[];
  readonly tagsFromMetadata: boolean;
  /** Questions that fail are asked again so many times in all, with growing pauses up to the longest. */
  readonly maxAttempts: number;
  readonly maxBackoffMs: number;
}

/** Matches internal/aws/ec2. */
export function ec2Detector(options: Ec2Options, context: DetectorContext): Detector {
  const keys = options.tags.map((each) => compileRegex(each));
  const isWanted = (key: string) => keys.some((each) => each.test(key));
  return {
    async detect(signal) {
      const metadata = new InstanceMetadata(context);
      const ask = (path: string) => withRetries(options, signal, () => metadata.text(path, signal));
      await orUnavailable("ec2", () => metadata.text("meta-data/instance-id", signal));
      const identity = await withRetries(options, signal, () => metadata.identity(signal));
      const hostname = await ask("meta-data/hostname");
      const extras = new Map<string, string>();
      if (keys.length > 0) {
        try {
          const tags = options.tagsFromMetadata
            ? await metadataTags(ask, isWanted)
            : await describedTags(identity, context, signal);
          for (const [key, value] of tags) if (isWanted(key)) extras.set(`ec2.tag.${key}`, value);
        } catch (error) {
          signal.throwIfAborted();
          context.log.warn("the tags of the EC2 instance cannot be had", { error: errorText(error) });
        }
      }
      return {
        attributes: {
          "cloud.provider": "aws",
          "cloud.platform": "aws_ec2",
          "cloud.region": identity.text("region"),
          "cloud.account.id": identity.text("accountId"),
          "cloud.availability_zone": identity.text("availabilityZone"),
          "host.id": identity.text("instanceId"),
          "host.image.id": identity.text("imageId"),
          "host.type": identity.text("instanceType"),
          "host.name": hostname,
        },
        extras,
      };
    },
  };
}

const FIRST_PAUSE_MS = 200;

async function withRetries<T>(options: Ec2Options, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (attempt >= options.maxAttempts || signal.aborted) throw error;
      await systemClock.sleep(Math.min(options.maxBackoffMs, FIRST_PAUSE_MS * 2 ** attempt), signal);
    }
  }
}
async function metadataTags(ask: (path: string) => Promise<string>, isWanted: (key: string) => boolean) {
  const tags = new Map<string, string>();
  for (const key of (await ask("meta-data/tags/instance")).split("\n").map((each) => each.trim())) {
    if (key !== "" && isWanted(key)) tags.set(key, await ask(`meta-data/tags/instance/${encodeURIComponent(key)}`));
  }
  return tags;
}

/** Tags by EC2's API, which needs the permission ec2:DescribeTags. */
async function describedTags(identity: JsonObject, context: DetectorContext, signal: AbortSignal) {
  const query = { "Filter.1.Name": "resource-id", "Filter.1.Value.1": identity.text("instanceId") };
  const answer = await ec2Query("DescribeTags", query, identity.text("region"), context, signal);
  const tags = new Map<string, string>();
  for (const item of itemsOf(answer, "tagSet")) tags.set(item.text("key"), item.text("value"));
  return tags;
}

/** Asks EC2's API with the credentials of the environment or the instance. The answer is that below its root. */
export async function ec2Query(
  action: string,
  parameters: Readonly<Record<string, string>>,
  region: string,
  { environment, userAgent }: DetectorContext,
  signal: AbortSignal,
): Promise<JsonObject> {
  const nobody = { accessKey: "", secretKey: new Secret(""), profile: "", roleArn: "", externalId: "", useFips: false };
  const sign = new Aws({ ...nobody, region }).signer("ec2");
  const client = HttpClient.create(clientDefaults(), { userAgent, sign });
  try {
    const url =
      environment.AWS_ENDPOINT_URL_EC2 || environment.AWS_ENDPOINT_URL || `https://ec2.${region}.amazonaws.com/`;
    const body = new URLSearchParams({ Action: action, Version: "2016-11-15", ...parameters }).toString();
    const headers = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
    const answer = await client.request({ method: "POST", url, headers, body, timeoutMs: 5_000 }, signal);
    const text = answer.body.toString();
    if (answer.status !== 200) {
      const words = /<Message>(.*?)<\/Message>/s.exec(text)?.[1] ?? text.slice(0, 200);
      throw new Error(`EC2 answers ${action} with ${answer.status}: ${words}; allow ec2:${action}`);
    }
    const { parseXML } = await import("@aws-sdk/xml-builder");
    const [root] = Object.values(parseXML(text) as Record<string, unknown>);
    return new JsonObject(typeof root === "object" && root !== null ? root : {});
  } finally {
    await client.close();
  }
}
/** The `item` elements of a set: none, one object, or a list. */
export function itemsOf(object: JsonObject, ...path: readonly string[]): readonly JsonObject[] {
  const many = object.list(...path, "item");
  if (many.length > 0) return many;
  const one = object.at(...path, "item");
  return typeof one === "object" && one !== null && !Array.isArray(one) ? [new JsonObject(one)] : [];
}
