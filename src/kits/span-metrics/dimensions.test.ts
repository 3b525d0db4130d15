import assert from "node:assert/strict";
import { test } from "node:test";
import { DimensionList, type Labels } from "./dimensions.ts";
import { KeyBuffer } from "./key.ts";
import { AttributeRanges, SpanScan, TraceWalk, WantedKeys } from "./scan.ts";
import { traces } from "./span-metrics.testing.ts";

/** The labels that patterns make of a span with such attributes, and of its resource. */
function found(pattern: string, span: Record<string, string>, resource: Record<string, string> = {}): string {
  const wanted = new WantedKeys([]);
  const list = new DimensionList([{ name: "", default: undefined, glob: pattern }], wanted);
  const scan = new SpanScan(new AttributeRanges(wanted, true));
  const labels: Labels = new Map();
  const ofResource = new AttributeRanges(wanted, true);
  new TraceWalk(ofResource).run(traces({ resource, spans: [{ attributes: span }] }), {
    enterResource: () => true,
    leftOut: () => {},
    enterScope: () => {},
    span(bytes, body, end) {
      scan.read(bytes, body, end);
      // Keys are made first, and names are looked up again for labels.
      list.addTo(new KeyBuffer(), bytes, scan.attributes, undefined, ofResource);
      list.describe(labels, bytes, scan.attributes, undefined, ofResource);
    },
  });
  return [...labels.values()].map(({ name, value }) => `${name}=${value.subarray(2)}`).join(" ");
}

test("patterns stop at dots as gobwas/glob does", () => {
  const span = { b: "1", "a.c": "2", "a.b": "3", "a.b.c": "4", "x.y": "5" };
  assert.equal(found("a.*", span), "a.b=3 a.c=2");
  assert.equal(found("a.**", span), "a.b=3 a.b.c=4 a.c=2");
  assert.equal(found("?", span), "b=1");
  assert.equal(found("a?b", span), "");
  assert.equal(found("{a,x}.[!c]", span), "a.b=3 x.y=5");
  assert.equal(found("**", span), "a.b=3 a.b.c=4 a.c=2 b=1 x.y=5");
});

test("what a span has goes before what its resource has", () => {
  const resource = { "a.b": "resource", "a.a": "resource" };
  assert.equal(found("a.*", { "a.c": "span", "a.b": "span" }, resource), "a.b=span a.c=span a.a=resource");
});
