import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { verifySignature } from "#kits/aws.testing";
import { Secret } from "#lang/value";
import { startComponent } from "#pipeline/testing";
import s3 from "./remote.s3.ts";

/** As much of S3 as the component needs: objects by path, for those who sign with the key. */
async function startStore(t: TestContext, objects: ReadonlyMap<string, string>) {
  const server = createServer((request, response) => {
    const refuse = (status: number, code: string) =>
      response.writeHead(status).end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`);
    try {
      assert.equal(verifySignature(request, Buffer.alloc(0), "secret", false).service, "s3");
    } catch {
      return refuse(403, "SignatureDoesNotMatch");
    }
    const object = objects.get(request.url!);
    return object === undefined ? refuse(404, "NoSuchKey") : response.end(object);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const config = (endpoint: string, path: string, secret = "secret", more = "") => `
path = "${path}"
${more}
client {
  key      = "AKID"
  secret   = "${secret}"
  endpoint = "${endpoint}"
  region   = "us-east-1"
}`;

test("the content of an object is exported, whatever its name holds", async (t) => {
  const url = await startStore(t, new Map([["/bucket/a%20folder/%C3%BC%2Bx%3F.json", '[{"targets":[]}]\n']]));
  await using component = await startComponent(s3, config(url, "s3://bucket/a folder/ü+x?.json"));
  assert.equal(component.exports.content, '[{"targets":[]}]\n');
});

test("a secret stays one", async (t) => {
  const url = await startStore(t, new Map([["/bucket/key", "swordfish"]]));
  await using component = await startComponent(s3, config(url, "s3://bucket/key", "secret", "is_secret = true"));
  const { content } = component.exports;
  assert.ok(content instanceof Secret);
  assert.equal(content.reveal(), "swordfish");
});

test("what is missing and who may not read are said, with what to do", async (t) => {
  const url = await startStore(t, new Map());
  await assert.rejects(
    startComponent(s3, config(url, "s3://bucket/gone")),
    /s3:\/\/bucket\/gone cannot be read \(NoSuchKey\): check the object in `path`/,
  );
  await assert.rejects(
    startComponent(s3, config(url, "s3://bucket/key", "wrong")),
    /cannot be read \(SignatureDoesNotMatch\): check the credentials, and that they allow s3:GetObject/,
  );
});

test("arguments that cannot be meant are refused", async () => {
  await assert.rejects(startComponent(s3, 'path = "bucket/key"'), /must be `s3:\/\/BUCKET\/OBJECT`/);
  await assert.rejects(
    startComponent(s3, 'path = "s3://b/k"\nclient {\n key = "only"\n}'),
    /`key` and `secret` must be set together/,
  );
  await assert.rejects(startComponent(s3, 'path = "s3://b/k"\npoll_frequency = "1s"'), /poll_frequency/);
});
