import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { verifySignature } from "../aws.testing.ts";
import { MetadataUnavailable } from "./detector.ts";
import { contextOf, detect, nobody, type Routes, serve } from "./detectors.testing.ts";
import { ec2Detector } from "./ec2.ts";
import { ecsDetector } from "./ecs.ts";
import { eksDetector } from "./eks.ts";

const IDENTITY = {
  region: "eu-west-2",
  accountId: "123456789012",
  availabilityZone: "eu-west-2a",
  instanceId: "i-0abc",
  imageId: "ami-1",
  instanceType: "m7g.large",
};
/** The metadata service of EC2 in its second version: nothing without a token. */
function instanceMetadata(more: Routes = {}): Routes {
  const routes: Routes = {
    "GET /latest/meta-data/instance-id": "i-0abc",
    "GET /latest/dynamic/instance-identity/document": IDENTITY,
    "GET /latest/meta-data/hostname": "ip-10-0-0-1.ec2.internal",
    ...more,
  };
  const guarded = Object.entries(routes).map(([name, answer]) => [
    name,
    (request: IncomingMessage) => (request.headers["x-aws-ec2-metadata-token"] === "token-1" ? answer : undefined),
  ]);
  return {
    ...(Object.fromEntries(guarded) as Routes),
    "PUT /latest/api/token": (request) =>
      Number(request.headers["x-aws-ec2-metadata-token-ttl-seconds"]) > 0 ? "token-1" : undefined,
  };
}
const EC2 = { tags: [], tagsFromMetadata: false, maxAttempts: 1, maxBackoffMs: 1 };

test("ec2: a token first, then the identity and tags", async (t) => {
  const base = await serve(
    t,
    instanceMetadata({
      "GET /latest/meta-data/tags/instance": "team\nName\nother",
      "GET /latest/meta-data/tags/instance/team": "red",
      "GET /latest/meta-data/tags/instance/Name": "web 1",
    }),
  );
  const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: base };
  const options = { ...EC2, tags: ["^team$", "ame"], tagsFromMetadata: true };
  assert.deepEqual(await detect(ec2Detector(options, contextOf(t, { environment }))), {
    "cloud.provider": "aws",
    "cloud.platform": "aws_ec2",
    "cloud.region": "eu-west-2",
    "cloud.account.id": "123456789012",
    "cloud.availability_zone": "eu-west-2a",
    "host.id": "i-0abc",
    "host.image.id": "ami-1",
    "host.type": "m7g.large",
    "host.name": "ip-10-0-0-1.ec2.internal",
    "ec2.tag.team": "red",
    "ec2.tag.Name": "web 1",
  });
  const disabled = { ...environment, AWS_EC2_METADATA_DISABLED: "true" };
  await assert.rejects(detect(ec2Detector(EC2, contextOf(t, { environment: disabled }))), MetadataUnavailable);
  await assert.rejects(detect(ec2Detector(EC2, contextOf(t, { metadataBase: await nobody() }))), MetadataUnavailable);
});

test("ec2: what fails is asked again, and tags that cannot be had are left out", async (t) => {
  let asked = 0;
  const flaky = () => (++asked < 3 ? undefined : "name");
  const metadataBase = await serve(t, { ...instanceMetadata(), "GET /latest/meta-data/hostname": flaky });
  const context = contextOf(t, { metadataBase });
  const found = await detect(ec2Detector({ ...EC2, maxAttempts: 3, tags: ["."], tagsFromMetadata: true }, context));
  assert.deepEqual([found["host.name"], asked], ["name", 3]);
  assert.ok(
    context.logs.some(({ level, message }) => level === "warn" && message.includes("tags of the EC2 instance")),
  );
});

test("ec2 and eks: tags by the API, with a signed request", async (t) => {
  const variables = { AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: "secret" };
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    process.env[name] = value;
    cleanUp(t, () => (before === undefined ? delete process.env[name] : (process.env[name] = before)));
  }
  const item = (key: string, value: string) => `<item><key>${key}</key><value>${value}</value></item>`;
  const tags = `<tagSet>${item("team", "red")}${item("aws:eks:cluster-name", "prod")}</tagSet>`;
  const answers: Readonly<Record<string, string>> = {
    DescribeTags: tags,
    DescribeInstances: `<reservationSet><item><ownerId>1</ownerId><instancesSet><item>${tags}</item></instancesSet></item></reservationSet>`,
  };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { region, service } = verifySignature(request, Buffer.concat(chunks), "secret");
    assert.deepEqual([region, service], ["eu-west-2", "ec2"]);
    const action = new URLSearchParams(Buffer.concat(chunks).toString()).get("Action")!;
    response.end(`<?xml version="1.0"?><${action}Response xmlns="x">${answers[action]}</${action}Response>`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  const AWS_ENDPOINT_URL_EC2 = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const metadataBase = await serve(t, instanceMetadata());
  const context = contextOf(t, { environment: { AWS_ENDPOINT_URL_EC2 }, metadataBase });
  const found = await detect(ec2Detector({ ...EC2, tags: ["^team"] }, context));
  assert.equal(found["ec2.tag.team"], "red");
  assert.equal(found["ec2.tag.aws:eks:cluster-name"], undefined);
  const cluster = { KUBERNETES_SERVICE_HOST: "x", AWS_WEB_IDENTITY_TOKEN_FILE: "/run/eks.amazonaws.com/token" };
  const inCluster = contextOf(t, { environment: { AWS_ENDPOINT_URL_EC2, ...cluster }, metadataBase });
  assert.deepEqual(await detect(eksDetector("NODE", inCluster)), {
    "cloud.provider": "aws",
    "cloud.platform": "aws_eks",
    "cloud.account.id": "123456789012",
    "k8s.cluster.name": "prod",
  });
});

test("ecs: the task and the logs of its other containers", async (t) => {
  const container = (DockerId: string, more: object = {}) => ({
    DockerId,
    Type: "NORMAL",
    KnownStatus: "RUNNING",
    LogDriver: "awslogs",
    LogOptions: { "awslogs-group": "/g", "awslogs-region": "us-west-2", "awslogs-stream": `s/${DockerId}` },
    ...more,
  });
  const base = await serve(t, {
    "GET /v4/x/task": {
      Cluster: "default",
      TaskARN: "arn:aws:ecs:us-west-2:111122223333:task/default/158d1c8083dd49d6b527399fd6414f5c",
      Family: "curltest",
      Revision: "26",
      AvailabilityZone: "us-west-2d",
      LaunchType: "FARGATE",
      Containers: [container("self"), container("app"), container("init", { KnownStatus: "STOPPED" })],
    },
    "GET /v4/x": { DockerId: "self" },
  });
  const environment = { ECS_CONTAINER_METADATA_URI_V4: `${base}/v4/x` };
  const group = "arn:aws:logs:us-west-2:111122223333:log-group:/g";
  assert.deepEqual(await detect(ecsDetector(contextOf(t, { environment }))), {
    "cloud.provider": "aws",
    "cloud.platform": "aws_ecs",
    "cloud.account.id": "111122223333",
    "cloud.region": "us-west-2",
    "cloud.availability_zone": "us-west-2d",
    "aws.ecs.task.arn": "arn:aws:ecs:us-west-2:111122223333:task/default/158d1c8083dd49d6b527399fd6414f5c",
    "aws.ecs.task.family": "curltest",
    "aws.ecs.task.revision": "26",
    "aws.ecs.task.id": "158d1c8083dd49d6b527399fd6414f5c",
    "aws.ecs.cluster.arn": "arn:aws:ecs:us-west-2:111122223333:cluster/default",
    "aws.ecs.launchtype": "fargate",
    "aws.log.group.names": ["/g"],
    "aws.log.group.arns": [group],
    "aws.log.stream.names": ["s/app"],
    "aws.log.stream.arns": [`${group}:log-stream:s/app`],
  });
  await assert.rejects(detect(ecsDetector(contextOf(t))), MetadataUnavailable);
});
