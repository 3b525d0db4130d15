import { compileRegex } from "#base/regex";
import {
  type Detected,
  type Detector,
  type DetectorContext,
  type JsonObject,
  MetadataUnavailable,
  orUnavailable,
} from "./detector.ts";

/** Clouds whose metadata service is one document, or some texts, without more to it than names. */

const LINK_LOCAL = "http://169.254.169.254";
type Attributes = Detected["attributes"];

/** A document at an address. */
function documentDetector(
  platform: string,
  {
    base = LINK_LOCAL,
    path,
    headers = {},
  }: { base?: string; path: string; headers?: Readonly<Record<string, string>> },
  { http, metadataBase }: DetectorContext,
  attributesOf: (document: JsonObject) => Attributes,
): Detector {
  return {
    async detect(signal) {
      const url = new URL(path, metadataBase ?? base);
      return { attributes: attributesOf(await orUnavailable(platform, () => http.json({ url, headers }, signal))) };
    },
  };
}

export function digitalOceanDetector(context: DetectorContext): Detector {
  return documentDetector("digitalocean", { path: "/metadata/v1.json" }, context, (droplet) => ({
    "cloud.provider": "digitalocean",
    "cloud.region": droplet.text("region"),
    "host.id": droplet.text("droplet_id"),
    "host.name": droplet.text("hostname"),
  }));
}
export function upcloudDetector(context: DetectorContext): Detector {
  return documentDetector("upcloud", { path: "/metadata/v1.json" }, context, (server) => ({
    "cloud.provider": server.text("cloud_name"),
    "cloud.region": server.text("region"),
    "host.id": server.text("instance_id"),
    "host.name": server.text("hostname"),
  }));
}
export function vultrDetector(context: DetectorContext): Detector {
  return documentDetector("vultr", { path: "/v1.json" }, context, (instance) => ({
    "cloud.provider": "vultr",
    "cloud.region": instance.text("region", "regioncode").toLowerCase(),
    "host.id": instance.text("instance-v2-id") || instance.text("instanceid"),
    "host.name": instance.text("hostname"),
  }));
}
export function scalewayDetector(context: DetectorContext): Detector {
  const address = { base: "http://169.254.42.42", path: "/conf?format=json" };
  return documentDetector("scaleway", address, context, (server) => {
    const zone = server.text("location", "zone_id");
    return {
      "cloud.provider": "scaleway_cloud",
      "cloud.platform": "scaleway_cloud_compute",
      "cloud.account.id": server.text("organization"),
      "cloud.availability_zone": zone,
      "cloud.region": zone.replace(/-?[^-]*$/, ""),
      "host.id": server.text("id"),
      "host.image.id": server.text("image", "id"),
      "host.image.name": server.text("image", "name"),
      "host.name": server.text("name"),
      "host.type": server.text("commercial_type"),
    };
  });
}
export function oracleCloudDetector(context: DetectorContext): Detector {
  const address = { path: "/opc/v2/instance/", headers: { authorization: "Bearer Oracle" } };
  return documentDetector("oraclecloud", address, context, (instance) => ({
    "cloud.provider": "oracle_cloud",
    "cloud.platform": "oracle_cloud_oke",
    "cloud.region": instance.text("canonicalRegionName"),
    "cloud.availability_zone": instance.text("availabilityDomain"),
    "host.id": instance.text("id"),
    "host.name": instance.text("displayName"),
    "host.type": instance.text("shape"),
    "k8s.cluster.name": instance.text("metadata", "oke-cluster-display-name"),
    "oracle_cloud.realm": instance.text("metadata", "realm"),
  }));
}

/** Akamai's, formerly Linode's: a token first. */
export function akamaiDetector({ http, metadataBase }: DetectorContext): Detector {
  return {
    async detect(signal) {
      const base = metadataBase ?? LINK_LOCAL;
      const instance = await orUnavailable("akamai", async () => {
        const headers = { accept: "application/json", "metadata-token-expiry-seconds": "3600" };
        const tokens: unknown = JSON.parse(
          await http.text({ method: "PUT", url: new URL("/v1/token", base), headers }, signal),
        );
        const token = Array.isArray(tokens) && typeof tokens[0] === "string" ? tokens[0] : "";
        return http.json(
          { url: new URL("/v1/instance", base), headers: { accept: "application/json", "metadata-token": token } },
          signal,
        );
      });
      return {
        attributes: {
          "cloud.provider": "akamai_cloud",
          "cloud.region": instance.text("region"),
          "host.id": instance.text("id"),
          "host.name": instance.text("label"),
        },
      };
    },
  };
}

/** Texts below an address, by the attribute that each is. */
async function texts(
  names: Readonly<Record<string, string>>,
  base: string,
  headers: Readonly<Record<string, string>>,
  { http }: DetectorContext,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const found = await Promise.all(
    Object.entries(names).map(async ([attribute, path]) => {
      const text = await http.text({ url: new URL(path, base), headers }, signal);
      return [attribute, text.trim()] as const;
    }),
  );
  return Object.fromEntries(found);
}

export function hetznerDetector(context: DetectorContext): Detector {
  return {
    async detect(signal) {
      const base = new URL("/hetzner/v1/metadata/", context.metadataBase ?? LINK_LOCAL).href;
      const names = {
        "host.id": "instance-id",
        "host.name": "hostname",
        "cloud.region": "region",
        "cloud.availability_zone": "availability-zone",
      };
      const found = await orUnavailable("hetzner", () => texts(names, base, {}, context, signal));
      return { attributes: { "cloud.provider": "hetzner", ...found } };
    },
  };
}

export function tencentDetector(context: DetectorContext): Detector {
  return {
    async detect(signal) {
      const base = new URL("/latest/meta-data/", context.metadataBase ?? "http://metadata.tencentyun.com").href;
      const names = {
        "cloud.account.id": "app-id",
        "cloud.region": "placement/region",
        "cloud.availability_zone": "placement/zone",
        "host.id": "instance-id",
        "host.name": "instance-name",
        "host.image.id": "instance/image-id",
        "host.type": "instance/instance-type",
      };
      const found = await orUnavailable("tencent_cvm", () => texts(names, base, {}, context, signal));
      return { attributes: { "cloud.provider": "tencent_cloud", "cloud.platform": "tencent_cloud_cvm", ...found } };
    },
  };
}

export function alibabaDetector(context: DetectorContext): Detector {
  return {
    async detect(signal) {
      const base = context.metadataBase ?? "http://100.100.100.200";
      const names = {
        "cloud.account.id": "owner-account-id",
        "cloud.region": "region-id",
        "cloud.availability_zone": "zone-id",
        "host.id": "instance-id",
        "host.name": "hostname",
        "host.image.id": "image-id",
        "host.type": "instance/instance-type",
      };
      const found = await orUnavailable("alibaba_ecs", async () => {
        const lifetime = { "x-aliyun-ecs-metadata-token-ttl-seconds": "300" };
        const token = await context.http.text(
          { method: "PUT", url: new URL("/latest/api/token", base), headers: lifetime },
          signal,
        );
        const headers = { "x-aliyun-ecs-metadata-token": token };
        return texts(names, new URL("/latest/meta-data/", base).href, headers, context, signal);
      });
      return { attributes: { "cloud.provider": "alibaba_cloud", "cloud.platform": "alibaba_cloud_ecs", ...found } };
    },
  };
}

/** OpenStack. `labels` are expressions for the keys of the instance's metadata. */
export function novaDetector(labels: readonly string[], { http, metadataBase }: DetectorContext): Detector {
  const keys = labels.map((each) => compileRegex(each));
  return {
    async detect(signal) {
      const base = metadataBase ?? LINK_LOCAL;
      const url = new URL("/openstack/latest/meta_data.json", base);
      const server = await orUnavailable("nova", () => http.json({ url }, signal));
      if (server.text("uuid") === "") throw new MetadataUnavailable("nova metadata unavailable: it has no uuid");
      const type = await http.text({ url: new URL("/latest/meta-data/instance-type", base) }, signal).catch(() => "");
      const extras = new Map<string, string>();
      for (const [key, value] of server.texts("meta")) {
        if (keys.some((each) => each.test(key))) extras.set(`openstack.nova.meta.${key}`, value);
      }
      return {
        attributes: {
          "cloud.provider": "openstack",
          "cloud.platform": "openstack_nova",
          "cloud.availability_zone": server.text("availability_zone"),
          "host.id": server.text("uuid"),
          "host.name": server.text("hostname"),
          "host.type": type.trim(),
        },
        extras,
      };
    },
  };
}
