import { BlockList, isIP, isIPv6 } from "node:net";
import type { ProxyArguments } from "./client-schema.ts";
import { shownUrl } from "./url.ts";

/**
 * Which proxy serves a URL. Matches golang.org/x/net/http/httpproxy, which Alloy uses: `no_proxy` lists hosts with or without
 * a port, domains (`example.com` and `.example.com` mean sub-domains too, `*.x` like `.x`), addresses, networks, or `*`;
 * local addresses use no proxy. As in prometheus/common, `proxy_url` alone serves all URLs, those of local addresses too.
 */
export class ProxySelector {
  readonly #http: URL | undefined;
  readonly #https: URL | undefined;
  /** The list has `*`: no URL uses a proxy. */
  readonly #always: boolean;
  readonly #serveLocal: boolean;
  readonly #hosts: readonly { readonly host: string; readonly port: string; readonly exact: boolean }[];
  readonly #networks = new BlockList();

  constructor(http: URL | undefined, https: URL | undefined, noProxy: string, serveLocal = false) {
    this.#http = http;
    this.#https = https;
    this.#serveLocal = serveLocal;
    const hosts: { host: string; port: string; exact: boolean }[] = [];
    let always = false;
    for (const entry of noProxy.split(",")) {
      const text = entry.trim().toLowerCase();
      if (text === "") continue;
      if (text === "*") always = true;
      const network = /^([0-9a-f.:]+)\/(\d+)$/.exec(text);
      if (network !== null && isIP(network[1]!) !== 0) {
        this.#networks.addSubnet(network[1]!, Number(network[2]), isIPv6(network[1]!) ? "ipv6" : "ipv4");
        continue;
      }
      const withPort = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);
      const host = withPort === null ? text.replace(/^\[(.*)\]$/, "$1") : (withPort[1] ?? withPort[2])!;
      const name = host.replace(/^\*\./, ".");
      hosts.push({ host: name, port: withPort?.[3] ?? "", exact: isIP(name) !== 0 });
    }
    this.#always = always;
    this.#hosts = hosts;
  }

  /** From the arguments of a client; undefined if it uses no proxy at all. */
  static from(
    args: ProxyArguments,
    environment: Readonly<Record<string, string | undefined>>,
  ): ProxySelector | undefined {
    if (args.proxy_from_environment) {
      const read = (name: string) => environment[name] ?? environment[name.toLowerCase()] ?? "";
      const http = parseProxy(read("HTTP_PROXY"));
      const https = parseProxy(read("HTTPS_PROXY"));
      return http === undefined && https === undefined ? undefined : new ProxySelector(http, https, read("NO_PROXY"));
    }
    const url = parseProxy(args.proxy_url ?? "");
    return url === undefined ? undefined : new ProxySelector(url, url, args.no_proxy, args.no_proxy === "");
  }

  proxyFor(url: URL): URL | undefined {
    const proxy = url.protocol === "https:" ? this.#https : this.#http;
    if (proxy === undefined || this.#always) return undefined;
    const host = url.hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
    const family = isIP(host);
    const isLocal = host === "localhost" || host === "::1" || (family === 4 && host.startsWith("127."));
    if (isLocal && !this.#serveLocal) return undefined;
    if (family !== 0 && this.#networks.check(host, family === 6 ? "ipv6" : "ipv4")) return undefined;
    const port = url.port || (url.protocol === "https:" ? "443" : "80");
    for (const rule of this.#hosts) {
      if (rule.port !== "" && rule.port !== port) continue;
      const bare = rule.host.replace(/^\./, "");
      if (
        rule.exact ? host === rule.host : (host === bare && !rule.host.startsWith(".")) || host.endsWith(`.${bare}`)
      ) {
        return undefined;
      }
    }
    return proxy;
  }
}

function parseProxy(text: string): URL | undefined {
  if (text === "") return undefined;
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Error(
      `the proxy ${JSON.stringify(shownUrl(text))} is no URL of an HTTP proxy: write it as http://host:port`,
    );
  }
  return url;
}

/** The `Proxy-Authorization` header for the user and password in the proxy's URL. */
export function proxyAuthorization(proxy: URL): string | undefined {
  if (proxy.username === "" && proxy.password === "") return undefined;
  const plain = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(plain).toString("base64")}`;
}
