import type { Labels } from "#base/labels";
import { Aws } from "#kits/aws";
import { DiscoveryPoller, discoveryExports, discoveryMetrics } from "#kits/discovery/poller";
import { HttpClient } from "#kits/http/client";
import { httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { httpUrlProblem } from "#kits/http/url";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { instancesPage, zoneIdsIn } from "./ec2-targets.ts";
import { queryError, readQueryAnswer } from "./query-answer.ts";

const API_VERSION = "2016-11-15";
/** Some ten thousand instances in one page; EC2 sends a thousand at most. */
const MAX_BYTES = 64 * 1024 * 1024;

const schema = httpClientRules(
  s.object({
    endpoint: s.string().default("").doc("Another address of EC2's API."),
    region: s.string().default("").doc("AWS region; the agent's own one, from environment or instance, if empty."),
    access_key: s.string().default("").doc("AWS access key; AWS's usual places are looked at if it is empty."),
    secret_key: s.secret().default("").doc("AWS secret key."),
    profile: s.string().default("").doc("Named AWS profile."),
    role_arn: s.string().default("").doc("AWS role to assume."),
    refresh_interval: s.duration().default("1m").doc("How often to ask; also how long an answer may take."),
    port: s.int().default(80).doc("Port of the targets."),
    filter: s
      .blocks(
        s
          .object({
            name: s.string().doc("Name of a filter of DescribeInstances, such as `tag:team` or `instance-state-name`."),
            values: s.list(s.string()).doc("What the filter lets through."),
          })
          .rule("values", (filter) => filter.values.length > 0, "must not be empty"),
      )
      .doc("Which instances to ask for; all without."),
    ...httpClientFields,
  }),
)
  .rule(
    "endpoint",
    (args) => args.endpoint === "" || httpUrlProblem(args.endpoint) === undefined,
    (args) => httpUrlProblem(args.endpoint)!,
  )
  .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0");

type Arguments = Infer<typeof schema>;

export default defineComponent({
  name: "discovery.ec2",
  stability: "generally-available",
  summary: "Finds the instances of an AWS account in EC2.",
  example: `discovery.ec2 "example" {
  region = "eu-central-1"
}`,
  args: schema,
  exports: discoveryExports,
  metrics: discoveryMetrics,

  start(ctx, args) {
    const userAgent = `Invar/${ctx.services.version}`;
    let api = new Ec2(args, userAgent);
    ctx.stack.defer(() => api.close());
    const poller = new DiscoveryPoller(ctx, "ec2", args.refresh_interval, (signal) => api.targets(signal));
    return {
      async update(next) {
        const before = api;
        const fresh = new Ec2(next, userAgent);
        api = fresh;
        poller.update(next.refresh_interval, (signal) => fresh.targets(signal));
        await before.close();
      },
    };
  },
});

/** EC2's Query API. */
class Ec2 {
  readonly #args: Arguments;
  readonly #aws: Aws;
  readonly #client: HttpClient;
  #zoneIds: ReadonlyMap<string, string> | undefined;

  constructor(args: Arguments, userAgent: string) {
    this.#args = args;
    this.#aws = new Aws({
      region: args.region,
      accessKey: args.secret_key.reveal() === "" ? "" : args.access_key, // as in Prometheus: both or none
      secretKey: args.secret_key,
      profile: args.profile,
      roleArn: args.role_arn,
      externalId: "",
      useFips: false,
    });
    this.#client = HttpClient.create(args, { userAgent, sign: this.#aws.signer("ec2") });
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async targets(signal: AbortSignal): Promise<readonly Labels[]> {
    const region = await this.#aws.region();
    // Not everybody may ask for zones, and nothing but the label with their id depends on them.
    this.#zoneIds ??= await this.#ask("DescribeAvailabilityZones", [], signal).then(zoneIdsIn, () => undefined);
    const options = { region, port: this.#args.port, zoneIds: this.#zoneIds ?? new Map() };
    const found: Labels[] = [];
    const filters = filterParameters(this.#args.filter);
    for (let token = ""; ; ) {
      const parameters = token === "" ? filters : [...filters, ["NextToken", token] as const];
      const page = instancesPage(await this.#ask("DescribeInstances", parameters, signal), options);
      found.push(...page.targets);
      token = page.nextToken;
      if (token === "") return found;
    }
  }

  async #ask(action: string, parameters: readonly (readonly [string, string])[], signal: AbortSignal) {
    const region = await this.#aws.region();
    const url = this.#args.endpoint || `https://ec2.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}/`;
    const { status, body } = await this.#client.request(
      {
        method: "POST",
        url,
        headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
        body: new URLSearchParams(
          [["Action", action], ["Version", API_VERSION], ...parameters].map(([a, b]) => [a!, b!]),
        ).toString(),
        timeoutMs: this.#args.refresh_interval,
        maxBytes: MAX_BYTES,
      },
      signal,
    );
    if (status === 200) return readQueryAnswer(body);
    const error = queryError(body);
    const words = error === undefined ? `status ${status}` : `${error.code}: ${error.message}`;
    const remedy = REMEDIES.get(error?.code ?? "") ?? "look at `endpoint` and `region`";
    throw new Error(`EC2 in ${region} refuses ${action} (${words}): ${remedy}`);
  }
}

const REMEDIES: ReadonlyMap<string, string> = new Map([
  ["AuthFailure", "check the access key, the secret key and the clock of this machine"],
  ["SignatureDoesNotMatch", "check the secret key"],
  ["InvalidClientTokenId", "check the access key"],
  ["UnrecognizedClientException", "check the access key"],
  ["RequestExpired", "set the clock of this machine"],
  ["ExpiredToken", "renew the credentials"],
  ["UnauthorizedOperation", "allow ec2:DescribeInstances to the user or role"],
  ["RequestLimitExceeded", "raise `refresh_interval`"],
  ["Throttling", "raise `refresh_interval`"],
  ["InvalidParameterValue", "check the filters"],
]);

function filterParameters(filters: Arguments["filter"]): (readonly [string, string])[] {
  return filters.flatMap(({ name, values }, i) => [
    [`Filter.${i + 1}.Name`, name] as const,
    ...values.map((value, j) => [`Filter.${i + 1}.Value.${j + 1}`, value] as const),
  ]);
}
