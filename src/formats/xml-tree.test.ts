import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { XmlError, XmlReader } from "./xml-reader.ts";
import { parseXmlTree, writeXml } from "./xml-tree.ts";

function rewritten(text: string): string {
  return writeXml(parseXmlTree(text));
}

test("what is read is written again", () => {
  const text = `<?xml version="1.0"?><a x="1"><b>t</b><!-- c --><![CDATA[1 < 2]]><?pi data?></a>`;
  assert.equal(rewritten(text), text);
  assert.equal(rewritten("<a/>"), '<?xml version="1.0"?><a></a>');
  assert.equal(
    rewritten(`<?xml version="1.0"?><a b='"x"'>&lt;&#65;&amp;\r\n</a>`),
    `<?xml version="1.0"?><a b="&#34;x&#34;">&lt;A&amp;\n</a>`,
  );
});

test("each fault is refused with its reason", () => {
  for (const [text, message] of [
    ["", /no element/],
    ["text", /no element/],
    ["<a", /name of an attribute is missing/],
    ["<a>", /ends within <a>/],
    ["<a></b>", /<a> is closed by <\/b>/],
    ["</a>", /ends what did not begin/],
    ["<a x=1/>", /not in quotes/],
    ["<a x/>", /"=" is missing/],
    ['<a x="<"/>', /has a </],
    ["<a>&nope;</a>", /no entity/],
    ["<a>&lt</a>", /no entity/],
    ["<a>&#x110000;</a>", /no entity/],
    ["<a>&#0;</a>", /character that XML does not allow/],
    ["<a>]]></a>", /outside of a CDATA/],
    ["<a><!-- -- --></a>", /missing after --/],
    ["<a><![CDATA[</a>", /CDATA section does not end/],
    ["<a><![X[</a>", /missing after <!/],
    ["<!DOCTYPE a", /directive does not end/],
    ['<?xml version="2.0"?><a/>', /version 2.0/],
    ["<p:a/>", /prefix p has no namespace/],
    ["<a:b:c/>", /more than one colon/],
    ["<1a/>", /invalid/],
    ["<a>".repeat(1001), /nest more than 1000/],
  ] as const) {
    assert.throws(
      () => parseXmlTree(text),
      (error) => error instanceof XmlError && message.test(error.message),
      text,
    );
  }
});

test("whatever the text, it is read to its end or refused", () => {
  const piece = fc.constantFrom(
    ..."< > / a b : = \" ' & ; ! - [ ] ? x",
    "<a>",
    "</a>",
    "<!--",
    "-->",
    "&lt;",
    "<![CDATA[",
    "]]>",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40, size: "max" }), (pieces) => {
      const text = pieces.join("");
      const reader = new XmlReader(text);
      try {
        while (reader.next() !== undefined);
        assert.ok(reader.isAtEnd);
      } catch (error) {
        assert.ok(error instanceof XmlError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
