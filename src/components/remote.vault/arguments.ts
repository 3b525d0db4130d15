import { httpUrlProblem } from "#kits/http/url";
import { type Infer, s } from "#lang/schema";

const mountPath = (path: string) => s.string().default(path).doc("Where the auth method is mounted in Vault.");

const methods = {
  token: s.object({ token: s.secret().doc("The token.") }).doc("A token that is known."),
  approle: s
    .object({
      role_id: s.string().doc("Id of the role."),
      secret: s.secret().doc("Secret id of the role, or a token that unwraps to it."),
      wrapping_token: s.bool().default(false).doc("The secret is a wrapping token."),
      mount_path: mountPath("approle"),
    })
    .doc("AppRole."),
  aws: s
    .object({
      type: s.oneOf(["ec2", "iam"]).doc("How to prove who the agent is: `ec2` or `iam`."),
      region: s.string().default("us-east-1").doc("Region of STS, for `iam`."),
      role: s.string().default("").doc("Role in Vault."),
      iam_server_id_header: s.string().default("").doc("Value of the header `X-Vault-AWS-IAM-Server-ID`, for `iam`."),
      ec2_signature_type: s.oneOf(["pkcs7", "identity"]).default("pkcs7").doc("What the instance shows, for `ec2`."),
      mount_path: mountPath("aws"),
    })
    .doc("AWS."),
  azure: s
    .object({
      role: s.string().doc("Role in Vault."),
      resource_url: s.string().default("https://management.azure.com/").doc("What Azure's token is for."),
      mount_path: mountPath("azure"),
    })
    .doc("Azure, by the identity of the machine."),
  gcp: s
    .object({
      role: s.string().doc("Role in Vault."),
      type: s.oneOf(["gce", "iam"]).doc("How to prove who the agent is: `gce` or `iam`."),
      iam_service_account: s.string().default("").doc("Service account that signs, for `iam`."),
      mount_path: mountPath("gcp"),
    })
    .rule(
      "iam_service_account",
      (args) => args.type !== "iam" || args.iam_service_account !== "",
      "must be set for `iam`",
    )
    .doc("Google Cloud."),
  kubernetes: s
    .object({
      role: s.string().doc("Role in Vault."),
      service_account_file: s
        .string()
        .default("/var/run/secrets/kubernetes.io/serviceaccount/token")
        .doc("File with the token of the service account."),
      mount_path: mountPath("kubernetes"),
    })
    .doc("Kubernetes."),
  ldap: s
    .object({
      username: s.string().doc("User."),
      password: s.secret().doc("Password."),
      mount_path: mountPath("ldap"),
    })
    .doc("LDAP."),
  userpass: s
    .object({
      username: s.string().doc("User."),
      password: s.secret().doc("Password."),
      mount_path: mountPath("userpass"),
    })
    .doc("User and password."),
  custom: s
    .object({
      path: s.string().doc("Path to log in at, such as `auth/kubernetes/login`."),
      data: s.map(s.secret()).doc("What to send there."),
      namespace: s.string().default("").doc("Namespace to log in to, if it is another one."),
    })
    .doc("Any other method."),
};

export const vaultArguments = s
  .object({
    server: s.string().doc("URL of the Vault server."),
    namespace: s.string().default("").doc("Namespace of Vault Enterprise or HCP."),
    path: s
      .string()
      .doc("The secret: its KV version 2 mount, a slash and its path, or only the mount if `key` is set."),
    key: s.string().default("").doc("Path of the secret below `path`, for mounts with a slash in their name."),
    reread_frequency: s
      .duration()
      .min(0)
      .default("0s")
      .doc("How often to read the secret again; 0 for only when its lease ends."),
    client_options: s
      .block(
        s.object({
          min_retry_wait: s.duration().default("1s").doc("Shortest pause before a request is repeated."),
          max_retry_wait: s.duration().default("1.5s").doc("Longest pause before a request is repeated."),
          max_retries: s.int(0).default(2).doc("How often a request that failed with a 5xx status is repeated."),
          timeout: s.duration().default("1m").doc("Longest time for a request."),
        }),
      )
      .presentByDefault()
      .doc("How requests are made."),
    auth: s.enumBlocks(methods).doc("How to log in; exactly one."),
  })
  .rule(
    "server",
    (args) => httpUrlProblem(args.server) === undefined,
    (args) => httpUrlProblem(args.server)!,
  )
  .rule(
    "auth",
    (args) => args.auth.length === 1,
    (args) => `must be there exactly once, not ${args.auth.length} times`,
  )
  .rule(
    "path",
    (args) => args.key !== "" || /^[^/]+\/./.test(args.path),
    "has no slash behind the mount: write `MOUNT/SECRET`, or set `key`",
  );

export type VaultArguments = Infer<typeof vaultArguments>;
export type VaultAuth = VaultArguments["auth"][number];
type AuthOf<K extends VaultAuth["kind"]> = Extract<VaultAuth, { kind: K }>["args"];
export type AwsAuth = AuthOf<"aws">;
export type AzureAuth = AuthOf<"azure">;
export type GoogleAuth = AuthOf<"gcp">;
