import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { aksDetector, azureDetector } from "./azure.ts";
import {
  akamaiDetector,
  alibabaDetector,
  digitalOceanDetector,
  hetznerDetector,
  novaDetector,
  oracleCloudDetector,
  scalewayDetector,
  tencentDetector,
  upcloudDetector,
  vultrDetector,
} from "./cloud-services.ts";
import { type Detector, type DetectorContext, MetadataUnavailable } from "./detector.ts";
import { type Answer, contextOf, detect, nobody, type Routes, serve } from "./detectors.testing.ts";
import { gcpDetector } from "./gcp.ts";

test("gcp: machines, with the header that the service wants", async (t) => {
  const routes = {
    "GET /computeMetadata/v1/instance/": "id\n",
    "GET /computeMetadata/v1/project/project-id": "my-project",
    "GET /computeMetadata/v1/instance/machine-type": "projects/1/machineTypes/n1-standard-1",
    "GET /computeMetadata/v1/instance/zone": "projects/1/zones/us-central1-c",
    "GET /computeMetadata/v1/instance/id": "1472385723456792345",
    "GET /computeMetadata/v1/instance/name": "my-instance",
    "GET /computeMetadata/v1/instance/hostname": "my-instance.c.my-project.internal",
    "GET /computeMetadata/v1/instance/region": "projects/1/regions/us-central1",
    "GET /computeMetadata/v1/instance/attributes/created-by":
      "projects/1/zones/us-central1-c/instanceGroupManagers/group",
  };
  const guarded = Object.entries(routes).map(([name, answer]) => [
    name,
    (request: IncomingMessage) => (request.headers["metadata-flavor"] === "Google" ? answer : undefined),
  ]);
  const GCE_METADATA_HOST = (await serve(t, Object.fromEntries(guarded) as Routes)).replace("http://", "");
  const find = (environment: NodeJS.ProcessEnv, failOnMissing = false) =>
    detect(gcpDetector(failOnMissing, contextOf(t, { environment: { GCE_METADATA_HOST, ...environment } })));
  assert.deepEqual(await find({}), {
    "cloud.provider": "gcp",
    "cloud.platform": "gcp_compute_engine",
    "cloud.account.id": "my-project",
    "cloud.availability_zone": "us-central1-c",
    "cloud.region": "us-central1",
    "host.type": "n1-standard-1",
    "host.id": "1472385723456792345",
    "host.name": "my-instance",
    "gcp.gce.instance.name": "my-instance",
    "gcp.gce.instance.hostname": "my-instance.c.my-project.internal",
    "gcp.gce.instance.group_manager.name": "group",
    "gcp.gce.instance.group_manager.zone": "us-central1-c",
  });
  assert.deepEqual(await find({ K_CONFIGURATION: "c", K_SERVICE: "shop", K_REVISION: "shop-1" }), {
    "cloud.provider": "gcp",
    "cloud.platform": "gcp_cloud_run",
    "cloud.account.id": "my-project",
    "cloud.region": "us-central1",
    "faas.name": "shop",
    "faas.version": "shop-1",
    "faas.instance": "1472385723456792345",
  });
  const job = { CLOUD_RUN_JOB: "job", CLOUD_RUN_EXECUTION: "job-x", CLOUD_RUN_TASK_INDEX: "2" };
  assert.equal((await find(job))["gcp.cloud_run.job.task_index"], "2");
  assert.equal((await find({ FUNCTION_TARGET: "f" }))["cloud.platform"], "gcp_cloud_functions");
  await assert.rejects(find({ FUNCTION_TARGET: "f" }, true), /incomplete: faas.name: K_SERVICE and CLOUD_RUN_JOB/);
  const engine = await find({ GAE_SERVICE: "s", GAE_VERSION: "1", GAE_INSTANCE: "i" });
  assert.deepEqual(
    [engine["cloud.platform"], engine["faas.name"], engine["cloud.region"]],
    ["gcp_app_engine", "s", "us-central1"],
  );
  const metal = { BMS_PROJECT_ID: "p", BMS_REGION: "r", BMS_INSTANCE_ID: "i" };
  assert.equal((await find(metal))["cloud.platform"], "gcp_bare_metal_solution");
});

test("gcp: clusters, and nobody there", async (t) => {
  const base = await serve(t, {
    "GET /computeMetadata/v1/instance/": "id\n",
    "GET /computeMetadata/v1/project/project-id": "p",
    "GET /computeMetadata/v1/instance/attributes/cluster-location": "us-central1",
    "GET /computeMetadata/v1/instance/attributes/cluster-name": "c",
    "GET /computeMetadata/v1/instance/id": "1",
  });
  const environment = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  assert.deepEqual(await detect(gcpDetector(false, contextOf(t, { environment, metadataBase: base }))), {
    "cloud.provider": "gcp",
    "cloud.platform": "gcp_kubernetes_engine",
    "cloud.account.id": "p",
    "cloud.region": "us-central1",
    "k8s.cluster.name": "c",
    "host.id": "1",
  });
  await assert.rejects(detect(gcpDetector(false, contextOf(t, { metadataBase: await nobody() }))), MetadataUnavailable);
});

test("azure and aks: the machine, with the header that the service wants", async (t) => {
  const compute = {
    location: "westeurope",
    name: "vm-name",
    vmId: "vm-id",
    vmSize: "Standard_D2",
    subscriptionId: "sub",
    resourceGroupName: "MC_group_cluster_westeurope",
    vmScaleSetName: "",
    zone: "2",
    osProfile: { computerName: "computer" },
    tagsList: [
      { name: "team", value: "red" },
      { name: "other", value: "x" },
    ],
  };
  const metadataBase = await serve(t, {
    "GET /metadata/instance/compute?api-version=2020-09-01&format=json": (request) =>
      request.headers.metadata === "true" ? compute : undefined,
  });
  assert.deepEqual(await detect(azureDetector(["^t"], contextOf(t, { metadataBase }))), {
    "cloud.provider": "azure",
    "cloud.platform": "azure.vm",
    "cloud.region": "westeurope",
    "cloud.account.id": "sub",
    "cloud.availability_zone": "2",
    "host.id": "vm-id",
    "host.name": "computer",
    "azure.vm.name": "vm-name",
    "azure.vm.size": "Standard_D2",
    "azure.resourcegroup.name": "MC_group_cluster_westeurope",
    "azure.tag.team": "red",
  });
  const environment = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  assert.deepEqual(await detect(aksDetector(contextOf(t, { metadataBase, environment }))), {
    "cloud.provider": "azure",
    "cloud.platform": "azure.aks",
    "k8s.cluster.name": "cluster",
  });
  await assert.rejects(detect(aksDetector(contextOf(t, { metadataBase }))), MetadataUnavailable);
});

test("clouds with a document or a few texts", async (t) => {
  const plain = { "host.id": "7", "host.name": "h", "cloud.region": "r" };
  const header = (name: string, value: string, answer: Answer) => (request: IncomingMessage) =>
    request.headers[name] === value ? answer : undefined;
  const cases: readonly (readonly [(context: DetectorContext) => Detector, Routes, object])[] = [
    [
      digitalOceanDetector,
      { "GET /metadata/v1.json": { droplet_id: 7, hostname: "h", region: "r" } },
      { "cloud.provider": "digitalocean", ...plain },
    ],
    [
      upcloudDetector,
      { "GET /metadata/v1.json": { cloud_name: "upcloud", instance_id: "7", hostname: "h", region: "r" } },
      { "cloud.provider": "upcloud", ...plain },
    ],
    [
      vultrDetector,
      { "GET /v1.json": { instanceid: "7", "instance-v2-id": "", hostname: "h", region: { regioncode: "R" } } },
      { "cloud.provider": "vultr", ...plain },
    ],
    [
      scalewayDetector,
      {
        "GET /conf?format=json": {
          id: "7",
          name: "h",
          organization: "o",
          location: { zone_id: "fr-par-1" },
          image: { id: "i", name: "n" },
          commercial_type: "t",
        },
      },
      {
        "cloud.provider": "scaleway_cloud",
        "cloud.platform": "scaleway_cloud_compute",
        "cloud.account.id": "o",
        "cloud.availability_zone": "fr-par-1",
        "cloud.region": "fr-par",
        "host.id": "7",
        "host.image.id": "i",
        "host.image.name": "n",
        "host.name": "h",
        "host.type": "t",
      },
    ],
    [
      oracleCloudDetector,
      {
        "GET /opc/v2/instance/": header("authorization", "Bearer Oracle", {
          id: "7",
          displayName: "h",
          canonicalRegionName: "r",
          shape: "t",
          metadata: { "oke-cluster-display-name": "k", realm: "oc1" },
        }),
      },
      {
        "cloud.provider": "oracle_cloud",
        "cloud.platform": "oracle_cloud_oke",
        ...plain,
        "host.type": "t",
        "k8s.cluster.name": "k",
        "oracle_cloud.realm": "oc1",
      },
    ],
    [
      akamaiDetector,
      {
        "PUT /v1/token": ["tok"],
        "GET /v1/instance": header("metadata-token", "tok", { id: 7, label: "h", region: "r" }),
      },
      { "cloud.provider": "akamai_cloud", ...plain },
    ],
    [
      hetznerDetector,
      {
        "GET /hetzner/v1/metadata/instance-id": "7",
        "GET /hetzner/v1/metadata/hostname": "h",
        "GET /hetzner/v1/metadata/region": "r",
        "GET /hetzner/v1/metadata/availability-zone": "z",
      },
      { "cloud.provider": "hetzner", ...plain, "cloud.availability_zone": "z" },
    ],
    [
      tencentDetector,
      Object.fromEntries(
        [
          "app-id",
          "placement/region",
          "placement/zone",
          "instance-id",
          "instance-name",
          "instance/image-id",
          "instance/instance-type",
        ].map((path) => [`GET /latest/meta-data/${path}`, path]),
      ),
      {
        "cloud.provider": "tencent_cloud",
        "cloud.platform": "tencent_cloud_cvm",
        "cloud.account.id": "app-id",
        "cloud.region": "placement/region",
        "cloud.availability_zone": "placement/zone",
        "host.id": "instance-id",
        "host.name": "instance-name",
        "host.image.id": "instance/image-id",
        "host.type": "instance/instance-type",
      },
    ],
    [
      alibabaDetector,
      {
        "PUT /latest/api/token": "tok",
        ...Object.fromEntries(
          [
            "owner-account-id",
            "region-id",
            "zone-id",
            "instance-id",
            "hostname",
            "image-id",
            "instance/instance-type",
          ].map((path) => [`GET /latest/meta-data/${path}`, header("x-aliyun-ecs-metadata-token", "tok", path)]),
        ),
      },
      {
        "cloud.provider": "alibaba_cloud",
        "cloud.platform": "alibaba_cloud_ecs",
        "cloud.account.id": "owner-account-id",
        "cloud.region": "region-id",
        "cloud.availability_zone": "zone-id",
        "host.id": "instance-id",
        "host.name": "hostname",
        "host.image.id": "image-id",
        "host.type": "instance/instance-type",
      },
    ],
    [
      (context) => novaDetector(["^r"], context),
      {
        "GET /openstack/latest/meta_data.json": {
          uuid: "7",
          hostname: "h",
          availability_zone: "z",
          meta: { role: "web", x: "y" },
        },
        "GET /latest/meta-data/instance-type": "m1",
      },
      {
        "cloud.provider": "openstack",
        "cloud.platform": "openstack_nova",
        "cloud.availability_zone": "z",
        "host.id": "7",
        "host.name": "h",
        "host.type": "m1",
        "openstack.nova.meta.role": "web",
      },
    ],
  ];
  const away = await nobody();
  for (const [make, routes, expected] of cases) {
    assert.deepEqual(await detect(make(contextOf(t, { metadataBase: await serve(t, routes) }))), expected);
    await assert.rejects(detect(make(contextOf(t, { metadataBase: away }))), MetadataUnavailable);
  }
});
