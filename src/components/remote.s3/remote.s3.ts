import { isIP } from "node:net";
import { Aws } from "#kits/aws";
import { clientDefaults, HttpClient } from "#kits/http/client";
import { httpUrlProblem } from "#kits/http/url";
import { type ContentReader, contentExports, remoteContent } from "#kits/remote-content";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

/** Nobody has a configuration or a secret that is larger. */
const MAX_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 30_000;

const clientSchema = s
  .object({
    key: s.string().default("").doc("Access key; AWS's usual places are looked at if it is empty."),
    secret: s.secret().default("").doc("Secret key."),
    endpoint: s.string().default("").doc("URL of another service with S3's API."),
    disable_ssl: s.bool().default(false).doc("Trust any certificate; with an `endpoint` of `http` there is none."),
    use_path_style: s
      .bool()
      .default(false)
      .deprecated("S3 itself will end this way of addressing")
      .doc("Name the bucket in the path and not in the host."),
    region: s.string().default("").doc("AWS region; the agent's own one if empty."),
    signing_region: s.string().default("").doc("Region in signatures, where it is another one; for `endpoint`."),
  })
  .rule("key", (args) => (args.key === "") === (args.secret.reveal() === ""), "and `secret` must be set together")
  .rule(
    "endpoint",
    (args) => args.endpoint === "" || httpUrlProblem(args.endpoint) === undefined,
    (args) => httpUrlProblem(args.endpoint)!,
  );

const schema = s
  .object({
    path: s.string().doc("What to read: `s3://BUCKET/OBJECT`."),
    poll_frequency: s.duration().min(30_000).default("10m").doc("How often to read it; at least 30 s."),
    is_secret: s.bool().default(false).doc("The content is a secret, and never shown."),
    client: s.block(clientSchema).presentByDefault().doc("How to reach S3, or a service with its API."),
  })
  .rule("path", (args) => splitPath(args.path) !== undefined, "must be `s3://BUCKET/OBJECT`");

export default defineComponent({
  name: "remote.s3",
  stability: "generally-available",
  summary: "Exports the content of an object in S3, and exports it again when it changes.",
  example: `remote.s3 "example" {
  path = "s3://bucket/targets.json"

  client {
    key      = "key"
    secret   = "secret"
    endpoint = "http://127.0.0.1:9000"
    region   = "us-east-1"
  }
}`,
  args: schema,
  exports: contentExports,

  start(ctx, args) {
    return remoteContent(ctx, args, (options) => s3Reader(options, `Invar/${ctx.services.version}`));
  },
});

function splitPath(path: string): { readonly bucket: string; readonly key: string } | undefined {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(path) ?? [];
  return bucket === undefined || key === undefined ? undefined : { bucket, key };
}

/** internal/component/remote/s3 of Alloy: GetObject, with the credentials that AWS's own programs would find. */
function s3Reader({ path, client }: Infer<typeof schema>, userAgent: string): ContentReader {
  const { bucket, key } = splitPath(path)!;
  const aws = new Aws({
    region: client.region,
    accessKey: client.key,
    secretKey: client.secret,
    profile: "",
    roleArn: "",
    externalId: "",
    useFips: false,
  });
  const defaults = clientDefaults();
  const tls = { ...defaults.tls_config, insecure_skip_verify: client.disable_ssl };
  const sign = aws.signer("s3", { signingRegion: client.signing_region, isS3: true });
  const http = HttpClient.create({ ...defaults, tls_config: tls }, { userAgent, sign });
  return {
    async read(signal) {
      const url = objectUrl(client, client.endpoint === "" ? await aws.region() : "", bucket, key);
      const headers = { "x-amz-content-sha256": EMPTY_SHA256 };
      const response = await http.request(
        { method: "GET", url, headers, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
        signal,
      );
      if (response.status === 200) return response.body.toString();
      const code = /<Code>([^<]*)<\/Code>/.exec(response.body.toString())?.[1] ?? `status ${response.status}`;
      throw new Error(`${path} cannot be read (${code}): ${remedyOf(response.status, code)}`);
    },
    close: () => http.close(),
  };
}

/** Hash of no body, which S3 wants in a header. */
const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

function objectUrl(client: Infer<typeof clientSchema>, region: string, bucket: string, key: string): URL {
  const domain = `s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
  const url = new URL(client.endpoint || `https://${domain}`);
  const folder = url.pathname.replace(/\/$/, "");
  const object = key.split("/").map(encodeURIComponent).join("/");
  // Names with dots do not fit the certificate of the domain, and addresses have no names below them: as S3's own clients.
  if (client.use_path_style || bucket.includes(".") || isIP(url.hostname) !== 0)
    url.pathname = `${folder}/${bucket}/${object}`;
  else {
    url.hostname = `${bucket}.${url.hostname}`;
    url.pathname = `${folder}/${object}`;
  }
  return url;
}

function remedyOf(status: number, code: string): string {
  if (code === "NoSuchBucket") return "check the bucket in `path`";
  if (status === 404) return "check the object in `path`";
  if (status === 301) return "check `region`: the bucket is in another one";
  if (status === 401 || status === 403) return "check the credentials, and that they allow s3:GetObject";
  return "look at `client`";
}
