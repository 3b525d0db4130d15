import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import os from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { Secret } from "#lang/value";
import { FakeDocker } from "../docker-engine.testing.ts";
import { consulDetector } from "./consul.ts";
import { MetadataUnavailable } from "./detector.ts";
import { contextOf, detect, files, serve, serveTls } from "./detectors.testing.ts";
import { dockerDetector } from "./docker.ts";
import { eksDetector } from "./eks.ts";
import { envDetector } from "./env.ts";
import { kubeadmDetector, kubernetesNodeDetector } from "./kubernetes.ts";
import { dynatraceDetector, elasticBeanstalkDetector, herokuDetector, lambdaDetector } from "./local-platforms.ts";
import { openshiftDetector } from "./openshift.ts";
import { systemDetector } from "./system.ts";

test("env: pairs of a variable", async (t) => {
  const read = (environment: NodeJS.ProcessEnv) => detect(envDetector(contextOf(t, { environment })));
  assert.deepEqual(await read({}), {});
  assert.deepEqual(await read({ OTEL_RESOURCE_ATTRIBUTES: " a=1 , b.c = x%20y+z,d=" }), {
    a: "1",
    "b.c": "x y z",
    d: "",
  });
  assert.deepEqual(await read({ OTEL_RESOURCE: "old=1" }), { old: "1" });
  await assert.rejects(
    read({ OTEL_RESOURCE_ATTRIBUTES: "a=1,b" }),
    /cannot be read from "b" on: write name=value pairs/,
  );
  await assert.rejects(read({ OTEL_RESOURCE_ATTRIBUTES: "a=%zz" }), /not percent-encoded as it should be: "%zz"/);
});

test("system: what the files of the host say", async (t) => {
  const root = files(t, {
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nBUILD_ID=b7\n',
    "etc/debian_version": "13.2\n",
    "etc/machine-id": "0123456789abcdef\n",
    "etc/hosts": `127.0.0.1 localhost\n10.0.0.1 ${os.hostname()}.example.com ${os.hostname()} # me\n`,
    "proc/cpuinfo":
      "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Xeon\nstepping\t: 7\ncache size\t: 1024 KB\n\nprocessor\t: 1\nvendor_id\t: Other\n",
    "sys/class/net/eth0/x": "",
  });
  const {
    "host.ip": ips,
    "host.mac": macs,
    "os.description": description,
    ...rest
  } = await detect(systemDetector(["dns", "os"], contextOf(t, { root })));
  assert.deepEqual(rest, {
    "host.name": `${os.hostname()}.example.com`,
    "host.id": "0123456789abcdef",
    "host.arch": process.arch === "x64" ? "amd64" : process.arch,
    "host.interface": ["eth0"],
    "host.cpu.vendor.id": "GenuineIntel",
    "host.cpu.family": "6",
    "host.cpu.model.id": "85",
    "host.cpu.model.name": "Xeon",
    "host.cpu.stepping": "7",
    "host.cpu.cache.l2.size": 1024n,
    "os.type": "linux",
    "os.name": "debian",
    "os.version": "13.2",
    "os.build.id": "b7",
  });
  assert.match(String(description), /^Debian GNU\/Linux 13 \(trixie\) \(Linux /);
  assert.ok(
    Array.isArray(ips) && Array.isArray(macs) && macs.every((mac) => /^([0-9A-F]{2}-){5}[0-9A-F]{2}$/.test(mac)),
  );
  const bare = await detect(systemDetector(["os"], contextOf(t)));
  assert.equal(bare["host.name"], os.hostname());
});

test("system: distributions, and host names that cannot be had", async (t) => {
  const version = async (contents: Readonly<Record<string, string>>) => {
    const found = await detect(systemDetector(["os"], contextOf(t, { root: files(t, contents) })));
    return [found["os.name"], found["os.version"]];
  };
  const ubuntu = {
    "etc/debian_version": "trixie/sid\n",
    "etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=26.04\n",
  };
  assert.deepEqual(await version(ubuntu), ["ubuntu", "26.04"]);
  assert.deepEqual(await version({ "etc/redhat-release": "Rocky Linux release 9.4 (Blue Onyx)\n" }), ["rocky", "9.4"]);
  assert.deepEqual(await version({ "etc/alpine-release": "3.22.1\n" }), ["alpine", "3.22.1"]);
  assert.deepEqual(await version({ "usr/lib/os-release": "ID=arch\nVERSION_ID='1'\n" }), ["arch", "1"]);
  await assert.rejects(
    detect(systemDetector([], contextOf(t))),
    /no host name could be had .*: try other `hostname_sources`/,
  );
});

test("docker: the engine's host, by its socket", async (t) => {
  for (const socket of [join(files(t, {}), "docker.sock"), undefined]) {
    const docker = await FakeDocker.start(socket);
    cleanUp(t, () => docker.stop());
    docker.info = { Name: "engine-host", OSType: "linux" };
    const found = await detect(dockerDetector(contextOf(t, { environment: { DOCKER_HOST: docker.host } })));
    assert.deepEqual(found, { "host.name": "engine-host", "os.type": "linux" });
  }
  const away = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };
  await assert.rejects(detect(dockerDetector(contextOf(t, { environment: away }))), MetadataUnavailable);
});

test("kubernetes_node and kubeadm: the API, with each way to log in", async (t) => {
  const guarded = (answer: object) => (request: IncomingMessage) =>
    request.headers.authorization === "Bearer tok" ? answer : undefined;
  const node = { metadata: { name: "node-1", uid: "uid-1" } };
  const system = { metadata: { uid: "uid-2" } };
  const map = { data: { ClusterConfiguration: "apiVersion: x\nclusterName: my-cluster\n" } };
  const { port, ca } = await serveTls(t, {
    "GET /api/v1/nodes/node-1": guarded(node),
    "GET /api/v1/nodes/open": node,
    "GET /api/v1/namespaces/kube-system": guarded(system),
    "GET /api/v1/namespaces/kube-system/configmaps/kubeadm-config": guarded(map),
  });
  const account = "var/run/secrets/kubernetes.io/serviceaccount";
  const kubeconfig = {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
    clusters: [
      {
        name: "k",
        cluster: {
          server: `https://127.0.0.1:${port}`,
          "certificate-authority-data": Buffer.from(ca).toString("base64"),
        },
      },
    ],
    users: [{ name: "u", user: { token: "tok" } }],
  };
  const root = files(t, {
    [`${account}/token`]: "tok",
    [`${account}/ca.crt`]: ca,
    kubeconfig: JSON.stringify(kubeconfig),
  });
  const environment = {
    KUBERNETES_SERVICE_HOST: "127.0.0.1",
    KUBERNETES_SERVICE_PORT: String(port),
    KUBECONFIG: join(root, "kubeconfig"),
    NODE: "node-1",
    OPEN: "open",
  };
  const context = contextOf(t, { environment, root });
  const found = { "k8s.node.name": "node-1", "k8s.node.uid": "uid-1" };
  for (const authType of ["serviceAccount", "kubeConfig"] as const) {
    assert.deepEqual(await detect(kubernetesNodeDetector({ authType, context: "" }, "NODE", context)), found);
  }
  assert.deepEqual(await detect(kubernetesNodeDetector({ authType: "none", context: "" }, "OPEN", context)), found);
  assert.deepEqual(await detect(kubeadmDetector({ authType: "serviceAccount", context: "" }, context)), {
    "k8s.cluster.name": "my-cluster",
    "k8s.cluster.uid": "uid-2",
  });
  const access = { authType: "none", context: "" } as const;
  await assert.rejects(detect(kubernetesNodeDetector(access, "NODE", context)), MetadataUnavailable);
  await assert.rejects(detect(kubernetesNodeDetector(access, "UNSET", context)), /UNSET is not set: have the pod's/);
  const outside = contextOf(t, { environment: { NODE: "n" } });
  await assert.rejects(
    detect(kubernetesNodeDetector(access, "NODE", outside)),
    /KUBERNETES_SERVICE_HOST .* is this a pod/,
  );
  const other = { authType: "kubeConfig", context: "no" } as const;
  await assert.rejects(detect(kubeadmDetector(other, context)), /has no context "no"/);

  const issued = await serveTls(t, {
    "GET /.well-known/openid-configuration": { issuer: "https://oidc.eks.eu-west-2.x/id" },
  });
  const eksRoot = files(t, { [`${account}/token`]: "tok", [`${account}/ca.crt`]: issued.ca });
  const eks = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(issued.port) };
  const eksContext = contextOf(t, { environment: { ...eks, AWS_EC2_METADATA_DISABLED: "true" }, root: eksRoot });
  assert.deepEqual(await detect(eksDetector("NODE", eksContext)), {
    "cloud.provider": "aws",
    "cloud.platform": "aws_eks",
  });
  await assert.rejects(detect(eksDetector("NODE", contextOf(t))), MetadataUnavailable);
});

test("openshift: the infrastructure, with a token", async (t) => {
  const status = { infrastructureName: "cluster-x", platformStatus: { type: "AWS", aws: { region: "US-EAST-1" } } };
  const path = "GET /apis/config.openshift.io/v1/infrastructures/cluster/status";
  const { port, ca } = await serveTls(t, {
    [path]: (request) => (request.headers.authorization === "Bearer tok" ? { status } : undefined),
  });
  const options = { address: `https://127.0.0.1:${port}`, token: "tok", tls: { ca_pem: ca } };
  assert.deepEqual(await detect(openshiftDetector(options, contextOf(t))), {
    "k8s.cluster.name": "cluster-x",
    "cloud.provider": "aws",
    "cloud.platform": "aws_openshift",
    "cloud.region": "us-east-1",
  });
  await assert.rejects(detect(openshiftDetector({ ...options, token: "no" }, contextOf(t))), MetadataUnavailable);
  const other = { address: "", token: "tok", tls: {} };
  await assert.rejects(detect(openshiftDetector(other, contextOf(t))), /KUBERNETES_SERVICE_HOST/);
});

test("consul: the agent's node, with a token", async (t) => {
  const self = { Config: { NodeName: "n", NodeID: "id", Datacenter: "dc1" }, Meta: { rack: "r1", other: "x" } };
  const base = await serve(t, {
    "GET /v1/agent/self": (request) => (request.headers["x-consul-token"] === "secret" ? self : undefined),
  });
  const options = { address: "", datacenter: "", token: new Secret("secret"), namespace: "", meta: ["rack"] };
  const environment = { CONSUL_HTTP_ADDR: base };
  assert.deepEqual(await detect(consulDetector(options, contextOf(t, { environment }))), {
    "host.name": "n",
    "host.id": "id",
    "cloud.region": "dc1",
    rack: "r1",
  });
  const refused = consulDetector({ ...options, token: new Secret("") }, contextOf(t, { environment }));
  await assert.rejects(detect(refused), MetadataUnavailable);
});

test("platforms that tell of themselves in variables and files", async (t) => {
  const lambda = { AWS_LAMBDA_FUNCTION_NAME: "f", AWS_REGION: "eu-west-2", AWS_LAMBDA_LOG_STREAM_NAME: "s" };
  assert.deepEqual(await detect(lambdaDetector(contextOf(t, { environment: lambda }))), {
    "cloud.provider": "aws",
    "cloud.platform": "aws_lambda",
    "cloud.region": "eu-west-2",
    "faas.name": "f",
    "faas.instance": "s",
    "aws.log.stream.names": ["s"],
  });
  const heroku = { HEROKU_APP_ID: "a", HEROKU_DYNO_ID: "d", HEROKU_APP_NAME: "n", HEROKU_SLUG_COMMIT: "c" };
  assert.deepEqual(await detect(herokuDetector(contextOf(t, { environment: heroku }))), {
    "cloud.provider": "heroku",
    "heroku.app.id": "a",
    "service.instance.id": "d",
    "service.name": "n",
    "heroku.release.commit": "c",
  });
  const root = files(t, {
    "var/elasticbeanstalk/xray/environment.conf": '{"deployment_id":23,"environment_name":"prod","version_label":"v1"}',
    "var/lib/dynatrace/enrichment/dt_host_metadata.properties":
      "dt.entity.host=HOST-1\nother=x\nnonsense\nhost.name= h \n",
  });
  assert.deepEqual(await detect(elasticBeanstalkDetector(contextOf(t, { root }))), {
    "cloud.provider": "aws",
    "cloud.platform": "aws_elastic_beanstalk",
    "service.instance.id": "23",
    "deployment.environment": "prod",
    "service.version": "v1",
  });
  assert.deepEqual(await detect(dynatraceDetector(contextOf(t, { root }))), {
    "dt.entity.host": "HOST-1",
    "host.name": "h",
  });
  const empty = files(t, {});
  for (const make of [lambdaDetector, herokuDetector, elasticBeanstalkDetector]) {
    await assert.rejects(detect(make(contextOf(t, { root: empty }))), MetadataUnavailable);
  }
  assert.deepEqual(await detect(dynatraceDetector(contextOf(t, { root: empty }))), {});
});
