import { HttpClient } from "#kits/http/client";
import { Authentication, basic } from "#kits/http/client-auth";
import { ProxySelector } from "#kits/http/client-proxy";
import type { HttpProbe } from "./modules.ts";
import { type Probe, ProbeFailure } from "./probe.ts";

/** What a module adds to requests beside its `headers`: credentials, `http_headers` and proxies. */
export interface Credentials {
  /** Rejects with a ProbeFailure. `isElsewhere`: a redirect led to another domain. */
  addTo(headers: Map<string, readonly string[]>, isElsewhere: boolean): Promise<void>;
  proxyFor(url: URL): URL | undefined;
}

const TOKEN_TIMEOUT_MS = 30_000;

/** Tokens are kept from one probe of a module to the next. */
const authentications = new WeakMap<HttpProbe, Authentication>();

export function credentialsOf(config: HttpProbe, probe: Probe): Credentials {
  const { client, usernameFile, headers: extra } = config;
  let authentication = authentications.get(config);
  if (authentication === undefined) {
    authentications.set(config, (authentication = authenticate(config, probe)));
  }
  const authorization = async () => {
    if (usernameFile === "" || client.basic_auth === undefined) return authentication.header(probe.signal);
    const { password, password_file } = client.basic_auth;
    const user = await probe.files.readSecret(usernameFile, "username_file");
    const secret =
      password_file === "" ? password.reveal() : await probe.files.readSecret(password_file, "password_file");
    return basic(user, secret);
  };
  return {
    async addTo(headers, isElsewhere) {
      try {
        for (const { name, values, files } of extra) {
          const read = await Promise.all(files.map((file) => probe.files.readSecret(file, `http_headers ${name}`)));
          headers.set(name, [...(headers.get(name) ?? []), ...values.map((each) => each.reveal()), ...read]);
        }
        if (isElsewhere || headers.has("authorization")) return;
        const value = await authorization();
        if (value !== undefined) headers.set("authorization", [value]);
      } catch (error) {
        probe.signal.throwIfAborted();
        throw new ProbeFailure((error as Error).message, { cause: error });
      }
    },
    proxyFor(url) {
      // As prometheus/common: without `no_proxy` the proxy is for local addresses too.
      if (client.proxy_url !== undefined && client.no_proxy === "") return new URL(client.proxy_url);
      try {
        return ProxySelector.from(client, process.env)?.proxyFor(url);
      } catch (error) {
        throw new ProbeFailure((error as Error).message, { cause: error });
      }
    },
  };
}

function authenticate({ client }: HttpProbe, probe: Probe): Authentication {
  const { oauth2 } = client;
  if (oauth2 === undefined) return new Authentication(client, probe.files, undefined, Date.now);
  const { tls_config, proxy_url, no_proxy, proxy_from_environment, proxy_connect_header } = oauth2;
  const settings = {
    ...client,
    ...{ basic_auth: undefined, authorization: undefined, oauth2: undefined, http_headers: undefined },
    ...{ proxy_url, no_proxy, proxy_from_environment, proxy_connect_header },
    tls_config: tls_config ?? client.tls_config,
  };
  const userAgent = `Blackbox Exporter/${probe.version}`;
  return new Authentication(
    client,
    probe.files,
    async (headers, body, signal) => {
      // Tokens are asked for seldom: nothing stays open in between.
      const tokens = HttpClient.create(settings, { userAgent });
      try {
        const url = oauth2.token_url;
        return await tokens.request({ method: "POST", url, headers, body, timeoutMs: TOKEN_TIMEOUT_MS }, signal);
      } finally {
        await tokens.close();
      }
    },
    Date.now,
  );
}
