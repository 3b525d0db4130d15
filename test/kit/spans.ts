import { ProtoWriter } from "#formats/protobuf";

/** An OTLP trace export of `count` spans with eight attributes each, about 335 bytes a span. */
export function traceRequest(count: number): Uint8Array {
  const out = new ProtoWriter(count * 400);
  const attribute = (field: number, key: string, value: string) => {
    const mark = out.begin(field);
    out.string(1, key);
    const any = out.begin(2);
    out.string(1, value);
    out.end(any);
    out.end(mark);
  };
  const resourceSpans = out.begin(1);
  const resource = out.begin(1);
  attribute(1, "service.name", "checkout");
  attribute(1, "host.name", "node-17");
  out.end(resource);
  const scopeSpans = out.begin(2);
  const scope = out.begin(1);
  out.string(1, "bench");
  out.end(scope);
  for (let i = 0; i < count; i++) {
    const span = out.begin(2);
    out.bytes(1, Buffer.from(`4bf92f3577b34da6a3ce929d${(i + 0x10000000).toString(16)}`, "hex"));
    out.bytes(2, Buffer.from((i + 0x1000000000).toString(16).padStart(16, "0"), "hex"));
    out.string(5, `GET /api/v1/items/${i % 100}`);
    out.int32(6, 2);
    out.fixed64Big(7, 1_763_640_000_000_000_000n + BigInt(i));
    out.fixed64Big(8, 1_763_640_000_100_000_000n + BigInt(i));
    attribute(9, "http.request.method", "GET");
    attribute(9, "url.path", `/api/v1/items/${i}`);
    attribute(9, "http.response.status_code", "200");
    attribute(9, "client.address", `10.1.2.${i % 250}`);
    attribute(9, "db.system", "postgresql");
    attribute(9, "k8s.pod.name", `checkout-${i % 30}-abcde`);
    attribute(9, "thread.id", String(i % 64));
    attribute(9, "user.id", `u${i % 5000}`);
    out.end(span);
  }
  out.end(scopeSpans);
  out.end(resourceSpans);
  return out.finish();
}
