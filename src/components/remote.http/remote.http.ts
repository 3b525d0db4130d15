import { HttpClient } from "#kits/http/client";
import { httpClientFields, httpClientRules } from "#kits/http/client-schema";
import { httpUrlProblem, shownUrl } from "#kits/http/url";
import { type ContentReader, contentExports, remoteContent } from "#kits/remote-content";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

/** Nobody has a configuration or a secret that is larger. */
const MAX_BYTES = 16 * 1024 * 1024;
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

const schema = s
  .object({
    url: s.string().doc("What to ask for."),
    poll_frequency: s.duration().default("1m").doc("How often to ask."),
    poll_timeout: s.duration().default("10s").doc("How long an answer may take."),
    is_secret: s.bool().default(false).doc("The answer is a secret, and never shown."),
    method: s.oneOf(METHODS).default("GET").doc("Method of the request."),
    headers: s.map(s.string()).default({}).doc("Headers of the request."),
    body: s.string().default("").doc("Body of the request."),
    client: s
      .block(httpClientRules(s.object(httpClientFields)))
      .presentByDefault()
      .doc("How to reach the server."),
  })
  .rule(
    "url",
    (args) => httpUrlProblem(args.url) === undefined,
    (args) => httpUrlProblem(args.url)!,
  )
  .rule("poll_frequency", (args) => args.poll_frequency > 0, "must be greater than 0")
  .rule("poll_timeout", (args) => args.poll_timeout > 0, "must be greater than 0")
  .rule("poll_timeout", (args) => args.poll_timeout < args.poll_frequency, "must be less than `poll_frequency`");

export default defineComponent({
  name: "remote.http",
  stability: "generally-available",
  summary: "Exports what an HTTP server answers, and exports it again when that changes.",
  example: `remote.http "example" {
  url = "http://127.0.0.1:8000/targets.json"
}`,
  args: schema,
  exports: contentExports,

  start(ctx, args) {
    return remoteContent(ctx, args, (options) => httpReader(options, `Invar/${ctx.services.version}`));
  },
});

/** internal/component/remote/http/http.go of Alloy: only 200 will do, and white space around the text does not count. */
function httpReader(args: Infer<typeof schema>, userAgent: string): ContentReader {
  const { url, method, body } = args;
  const client = HttpClient.create(args.client, { userAgent });
  const headers = Object.fromEntries([...args.headers].map(([name, value]) => [name.toLowerCase(), value]));
  const request = { method, url, headers, timeoutMs: args.poll_timeout, maxBytes: MAX_BYTES };
  return {
    async read(signal) {
      const response = await client.request(body === "" ? request : { ...request, body }, signal);
      if (response.status === 200) return response.body.toString().trim();
      const remedy = response.status >= 500 ? "the server fails; look at its log" : "check `url` and the credentials";
      throw new Error(`${shownUrl(url)} answers ${response.status}; it has to be 200: ${remedy}`);
    },
    close: () => client.close(),
  };
}
