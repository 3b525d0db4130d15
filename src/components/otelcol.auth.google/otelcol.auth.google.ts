import { GoogleIdentity, type GoogleProjects } from "#kits/google-auth";
import { authExports, type ClientAuth } from "#kits/otelcol/auth";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const SCOPES = ["cloud-platform", "logging.write", "monitoring.write", "trace.append"].map(
  (name) => `https://www.googleapis.com/auth/${name}`,
);

const args = s
  .object({
    project: s.string().default("").doc("Project of the data; unless given, that of the credentials."),
    quota_project: s.string().default("").doc("Project that pays; unless given, that of the credentials."),
    token_type: s.oneOf(["access_token", "id_token"]).default("access_token").doc("What kind of token is sent."),
    audience: s.string().default("").doc("Whom identity tokens are for."),
    scopes: s.list(s.string()).default(SCOPES).doc("Permissions of access tokens."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule(
    "audience",
    (a) => a.token_type !== "id_token" || a.audience !== "",
    'must be set when `token_type` is "id_token"',
  );

export default defineComponent({
  name: "otelcol.auth.google",
  stability: "public-preview",
  summary: "Adds tokens of Google Cloud to requests.",
  example: `otelcol.auth.google "default" {
  project = "my-project"
}`,
  args,
  exports: authExports,

  start(ctx, given) {
    const { audience, scopes } = given;
    const identity = new GoogleIdentity(given.token_type === "id_token" ? { audience } : { scopes }, "");
    let known: GoogleProjects | undefined;
    const client: ClientAuth = async ({ headers }) => {
      headers.set("authorization", `Bearer ${await identity.token()}`);
      known ??= await identity.projects({ project: given.project, quotaProject: given.quota_project });
      const { project, quotaProject } = known;
      if (project === "") {
        throw new Error("no project is known: set `project`, or GOOGLE_CLOUD_PROJECT in the agent's environment");
      }
      headers.set("x-goog-project-id", project);
      if (quotaProject !== "") headers.set("x-goog-user-project", quotaProject);
    };
    ctx.export({ handler: { componentId: ctx.id, client, server: undefined } });
  },
});
