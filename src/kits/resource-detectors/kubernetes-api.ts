import { readFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { Secret } from "#lang/value";
import { clientDefaults } from "../http/client.ts";
import type { HttpClientArguments } from "../http/client-schema.ts";
import { type DetectorContext, JsonObject, MetadataClient } from "./detector.ts";

export const KUBERNETES_AUTH_TYPES = ["none", "serviceAccount", "kubeConfig", "tls"] as const;

export interface KubernetesAccess {
  readonly authType: (typeof KUBERNETES_AUTH_TYPES)[number];
  /** A context of the kubeconfig file; empty for its current one. */
  readonly context: string;
}

const SERVICE_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount";

/** The address of the API as pods are told it. Throws an Error that says what is missing. */
export function clusterAddress({
  KUBERNETES_SERVICE_HOST: host,
  KUBERNETES_SERVICE_PORT: port,
}: NodeJS.ProcessEnv): string {
  if (!host || !port) {
    throw new Error("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: is this a pod?");
  }
  return `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
export function serviceAccountFile(name: "token" | "ca.crt", { root = "/" }: DetectorContext): string {
  return join(root, SERVICE_ACCOUNT, name);
}

/** A client of the Kubernetes API. Matches internal/k8sconfig of the Collector. Throws an Error for what cannot be used. */
export function kubernetesApi(access: KubernetesAccess, context: DetectorContext) {
  const { base, args } = connection(access, context);
  const http = new MetadataClient(args, { userAgent: context.userAgent });
  return {
    get: (path: string, signal: AbortSignal): Promise<JsonObject> =>
      http.json({ url: base + path, timeoutMs: 5_000 }, signal),
    close: () => http.close(),
  };
}

function connection(access: KubernetesAccess, context: DetectorContext): { base: string; args: HttpClientArguments } {
  const defaults = clientDefaults();
  const withTls = (more: Partial<HttpClientArguments["tls_config"]>) => ({
    ...defaults,
    tls_config: { ...defaults.tls_config, ...more },
  });
  if (access.authType === "kubeConfig") return kubeConfig(access.context, context, withTls);
  const base = clusterAddress(context.environment);
  if (access.authType === "none") return { base, args: withTls({ insecure_skip_verify: true }) };
  const args = withTls({ ca_file: serviceAccountFile("ca.crt", context) });
  return { base, args: { ...args, bearer_token_file: serviceAccountFile("token", context) } };
}

/** `KUBECONFIG`, or the file in the home folder: the first that names the context. */
function kubeConfig(
  wanted: string,
  { environment }: DetectorContext,
  withTls: (more: Partial<HttpClientArguments["tls_config"]>) => HttpClientArguments,
): { base: string; args: HttpClientArguments } {
  const path = environment.KUBECONFIG?.split(":")[0] || join(environment.HOME || os.homedir(), ".kube", "config");
  const file = new JsonObject((parse(readFileSync(path, "utf8")) as object | null) ?? {});
  const named = (list: string, name: string) => file.list(list).find((each) => each.text("name") === name);
  const current = wanted || file.text("current-context");
  const chosen = named("contexts", current);
  if (chosen === undefined) throw new Error(`${path} has no context ${JSON.stringify(current)}`);
  const cluster = named("clusters", chosen.text("context", "cluster"));
  const user = named("users", chosen.text("context", "user"));
  const base = cluster?.text("cluster", "server").replace(/\/+$/, "") ?? "";
  if (base === "") throw new Error(`${path} names no server for the context ${JSON.stringify(current)}`);
  if (user?.at("user", "exec") !== undefined || user?.at("user", "auth-provider") !== undefined) {
    throw new Error(
      `${path} has a user whose credentials a program makes, which is not supported: use \`serviceAccount\``,
    );
  }
  const decoded = (object: JsonObject | undefined, ...names: readonly string[]) =>
    Buffer.from(object?.text(...names) ?? "", "base64").toString();
  const args = withTls({
    ca_file: cluster?.text("cluster", "certificate-authority") ?? "",
    ca_pem: decoded(cluster, "cluster", "certificate-authority-data"),
    cert_file: user?.text("user", "client-certificate") ?? "",
    cert_pem: decoded(user, "user", "client-certificate-data"),
    key_file: user?.text("user", "client-key") ?? "",
    key_pem: new Secret(decoded(user, "user", "client-key-data")),
    insecure_skip_verify: cluster?.at("cluster", "insecure-skip-tls-verify") === true,
  });
  const token = user?.text("user", "token") ?? "";
  const tokenFile = user?.text("user", "tokenFile") ?? "";
  return {
    base,
    args: { ...args, ...(token !== "" && { bearer_token: new Secret(token) }), bearer_token_file: tokenFile },
  };
}
