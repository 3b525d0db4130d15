import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { verifySignature } from "#kits/aws.testing";
import { startComponent } from "#pipeline/testing";
import ec2 from "./discovery.ec2.ts";

type Answer = string | { readonly status: number; readonly body: string };

/** A server that speaks as much of EC2's Query API as the component needs, and checks signatures. */
async function startApi(t: TestContext, answer: (form: URLSearchParams) => Answer) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    let result: Answer;
    try {
      const { accessKey, region, service } = verifySignature(request, body, "secret");
      assert.deepEqual([accessKey, region, service], ["AKID", "eu-west-2", "ec2"]);
      result = answer(new URLSearchParams(body.toString()));
    } catch (error) {
      result = { status: 403, body: problem("SignatureDoesNotMatch", (error as Error).message) };
    }
    const { status, body: text } = typeof result === "string" ? { status: 200, body: result } : result;
    response.writeHead(status, { "content-type": "text/xml" }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const problem = (code: string, message: string) =>
  `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>${code}</Code><Message>${message}</Message></Error></Errors><RequestID>r</RequestID></Response>`;
const response = (name: string, content: string) =>
  `<?xml version="1.0" encoding="UTF-8"?><${name}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>${content}</${name}Response>`;
const ZONES = response(
  "DescribeAvailabilityZones",
  "<availabilityZoneInfo><item><zoneName>eu-west-2a</zoneName><zoneId>euw2-az2</zoneId></item></availabilityZoneInfo>",
);
const instance = (id: string, more: string) =>
  `<item><instanceId>${id}</instanceId><imageId>ami-1</imageId><instanceState><code>16</code><name>running</name></instanceState><privateDnsName>ip.internal</privateDnsName><dnsName/><instanceType>m7g.large</instanceType><placement><availabilityZone>eu-west-2a</availabilityZone></placement><architecture>arm64</architecture>${more}</item>`;
const reservation = (...instances: string[]) =>
  `<item><reservationId>r-1</reservationId><ownerId>12345</ownerId><groupSet/><instancesSet>${instances.join("")}</instancesSet></item>`;

const config = (endpoint: string, more = "") =>
  `endpoint = "${endpoint}"\nregion = "eu-west-2"\naccess_key = "AKID"\nsecret_key = "secret"\nrefresh_interval = "1s"\n${more}`;

test("instances of all pages become targets with Prometheus's labels", async (t) => {
  const forms: string[] = [];
  const url = await startApi(t, (form) => {
    if (form.get("Action") === "DescribeAvailabilityZones") return ZONES;
    forms.push(form.toString());
    if (!form.has("NextToken")) {
      const plain = instance(
        "i-plain",
        "<privateIpAddress>10.0.0.4</privateIpAddress><tagSet><item><key>app.kubernetes.io/name</key><value>shop</value></item></tagSet>",
      );
      const none = instance("i-none", "");
      return response(
        "DescribeInstances",
        `<reservationSet>${reservation(plain, none)}</reservationSet><nextToken>more</nextToken>`,
      );
    }
    const network =
      "<vpcId>vpc-1</vpcId><subnetId>s-1</subnetId><instanceLifecycle>spot</instanceLifecycle><platform>windows</platform><ipAddress>1.2.3.4</ipAddress><privateIpAddress>10.0.0.5</privateIpAddress><networkInterfaceSet><item><subnetId>s-1</subnetId><attachment><deviceIndex>1</deviceIndex></attachment><ipv6AddressesSet><item><ipv6Address>2001:db8::1</ipv6Address><isPrimaryIpv6>false</isPrimaryIpv6></item><item><ipv6Address>2001:db8::2</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item></ipv6AddressesSet></item><item><subnetId>s-2</subnetId><attachment><deviceIndex>0</deviceIndex></attachment><ipv6AddressesSet/></item></networkInterfaceSet><tagSet/>";
    return response("DescribeInstances", `<reservationSet>${reservation(instance("i-net", network))}</reservationSet>`);
  });
  const filter = 'filter {\n name = "tag:team"\n values = ["a", "b"]\n}\nport = 9100';
  await using component = await startComponent(ec2, config(url, filter));
  await until(() => component.exports.targets.length > 0, "targets are found");
  assert.deepEqual(
    component.exports.targets.map((each) => Object.fromEntries(each)),
    [
      {
        __address__: "10.0.0.4:9100",
        __meta_ec2_ami: "ami-1",
        __meta_ec2_architecture: "arm64",
        __meta_ec2_availability_zone: "eu-west-2a",
        __meta_ec2_availability_zone_id: "euw2-az2",
        __meta_ec2_instance_id: "i-plain",
        __meta_ec2_instance_state: "running",
        __meta_ec2_instance_type: "m7g.large",
        __meta_ec2_owner_id: "12345",
        __meta_ec2_private_dns_name: "ip.internal",
        __meta_ec2_private_ip: "10.0.0.4",
        __meta_ec2_region: "eu-west-2",
        __meta_ec2_tag_app_kubernetes_io_name: "shop",
      },
      {
        __address__: "10.0.0.5:9100",
        __meta_ec2_ami: "ami-1",
        __meta_ec2_architecture: "arm64",
        __meta_ec2_availability_zone: "eu-west-2a",
        __meta_ec2_availability_zone_id: "euw2-az2",
        __meta_ec2_default_ipv6_address: "2001:db8::2",
        __meta_ec2_instance_id: "i-net",
        __meta_ec2_instance_lifecycle: "spot",
        __meta_ec2_instance_state: "running",
        __meta_ec2_instance_type: "m7g.large",
        __meta_ec2_ipv6_addresses: ",2001:db8::1,2001:db8::2,",
        __meta_ec2_owner_id: "12345",
        __meta_ec2_platform: "windows",
        __meta_ec2_primary_ipv6_addresses: ",,2001:db8::2,",
        __meta_ec2_primary_subnet_id: "s-1",
        __meta_ec2_private_dns_name: "ip.internal",
        __meta_ec2_private_ip: "10.0.0.5",
        __meta_ec2_public_dns_name: "",
        __meta_ec2_public_ip: "1.2.3.4",
        __meta_ec2_region: "eu-west-2",
        __meta_ec2_subnet_id: ",s-1,s-2,",
        __meta_ec2_vpc_id: "vpc-1",
      },
    ],
  );
  assert.deepEqual(
    forms.slice(0, 2).map((form) => decodeURIComponent(form)),
    [
      "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag:team&Filter.1.Value.1=a&Filter.1.Value.2=b",
      "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag:team&Filter.1.Value.1=a&Filter.1.Value.2=b&NextToken=more",
    ],
  );
  assert.equal(component.flow.status.state, "ok");
});

test("a refusal is said with what to do, and the last targets stay", async (t) => {
  let isAllowed = true;
  const url = await startApi(t, (form) => {
    if (form.get("Action") === "DescribeAvailabilityZones")
      return { status: 403, body: problem("UnauthorizedOperation", "no zones") };
    if (!isAllowed) return { status: 403, body: problem("UnauthorizedOperation", "You are not authorized") };
    const plain = instance("i-1", "<privateIpAddress>10.0.0.4</privateIpAddress>");
    return response("DescribeInstances", `<reservationSet>${reservation(plain)}</reservationSet>`);
  });
  await using component = await startComponent(ec2, config(url));
  await until(() => component.exports.targets.length === 1, "a target is found without zones");
  assert.equal(component.exports.targets[0]!.get("__meta_ec2_availability_zone_id"), "");
  isAllowed = false;
  await until(() => component.flow.status.state === "degraded", "the refusal shows");
  assert.match(
    component.flow.status.cause ?? "",
    /the 1 targets are as of .* ago: EC2 in eu-west-2 refuses DescribeInstances \(UnauthorizedOperation: You are not authorized\): allow ec2:DescribeInstances/,
  );
  assert.equal(component.exports.targets.length, 1);
});

test("wrong keys fail with the reason", async (t) => {
  const url = await startApi(t, () => assert.fail("not reached"));
  await using component = await startComponent(ec2, config(url).replace('"secret"', '"other"'));
  await until(() => component.flow.status.state === "failing", "the refusal shows");
  assert.match(component.flow.status.cause ?? "", /no targets yet: .*SignatureDoesNotMatch.*check the secret key/s);
  assert.ok(!JSON.stringify(component.logs).includes("other"));
});
