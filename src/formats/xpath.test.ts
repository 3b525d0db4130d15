import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { XmlError } from "./xml-reader.ts";
import { parseXmlTree, writeXmlNode } from "./xml-tree.ts";
import { XPath } from "./xpath.ts";

const DOCUMENT = parseXmlTree(
  `<shop><item id="1" kind="new">Tea<price>2.50</price></item><item id="2">Pot<price>10</price></item>` +
    `<!-- note --><box xmlns:p="urn:x"><p:item id="3"/><item id="4"><![CDATA[a < b]]></item></box></shop>`,
);

/** What an expression selects: attributes as `name=value`, elements by name and id, else the text. */
function selected(text: string): string[] {
  return new XPath(text).select(DOCUMENT).map((item) => {
    if (item.kind === "attribute") return `${item.attribute.local}=${item.attribute.value}`;
    if (item.kind !== "element") return item.kind === "document" ? "/" : item.data;
    const id = item.attributes.find((each) => each.local === "id")?.value ?? "";
    return item.data + id;
  });
}

test("paths, axes and predicates select what XPath says", () => {
  for (const [text, expected] of [
    ["/", ["/"]],
    ["/shop/item", ["item1", "item2"]],
    ["//item", ["item1", "item2", "item4"]],
    ["//p:item", ["item3"]],
    ["//*[@id > 2]", ["item3", "item4"]],
    ["//item[2]", ["item2"]],
    ["(//item)[3]", ["item4"]],
    ["//item[last()]/@id", ["id=2", "id=4"]],
    ["//item[position() < 2]", ["item1", "item4"]],
    ["//item[price]", ["item1", "item2"]],
    ["//item[price > 5]", ["item2"]],
    ["//item[not(@kind)]", ["item2", "item4"]],
    ["//item[@kind='new' and price < 3]", ["item1"]],
    ["//@*[local-name() != 'id']", ["kind=new"]],
    ["//price/..", ["item1", "item2"]],
    ["//price/ancestor::*", ["item1", "shop", "item2"]],
    ["//item[1]/following-sibling::item", ["item2"]],
    ["//box/preceding-sibling::item", ["item2", "item1"]],
    ["//box/preceding::price", ["price", "price"]],
    ["//item[1]/following::item", ["item2", "item4"]],
    ["//comment()", [" note "]],
    ["//item/text()", ["Tea", "Pot", "a < b"]],
    ["//item[text()='a < b']", ["item4"]],
    ["//item[contains(., 'ea') or starts-with(text(), 'P')]", ["item1", "item2"]],
    ["//item[string-length(text()) = 3 and matches(text(), '^P.t$')]", ["item2"]],
    ["//item[@id = //box/item/@id]", ["item4"]],
    ["//item[@id mod 2 = 0]", ["item2", "item4"]],
    ["//price | //@kind", ["price", "price", "kind=new"]],
    ["/shop/(item, box)", ["item1", "item2", "box"]],
    ["//box/node()", ["item3", "item4"]],
    ["count(//item)", []],
    ["descendant::price[2]", ["price"]],
    ["//item[substring(text(), 2, 1) = 'e']", ["item1"]],
    ["//item[translate(@id, '12', 'ab') = 'a']", ["item1"]],
    ["//item[normalize-space(' x  y ') = 'x y'][sum(price) >= 2.5][1]", ["item1"]],
    ["//item[concat(@id, '-', name()) = '2-item']", ["item2"]],
    ["//*[namespace-uri() = 'urn:x']", ["item3"]],
    ["//item[round(price) = 3 or floor(price) = 10]", ["item1", "item2"]],
    ["//item[-price + 12.5 = 10]", ["item1"]],
  ] as const) {
    assert.deepEqual(selected(text), expected, text);
  }
});

test("each fault is refused with its reason", () => {
  for (const [text, message] of [
    ["", /ends too early/],
    ["!", /no part of an XPath/],
    ["/a[", /ends too early/],
    ["/a]", /unexpected ]/],
    ["//a b", /unexpected b/],
    ["nope()", /no function nope/],
    ["count()", /does not take 0 arguments/],
    ["nope::a", /no axis nope/],
    ["'a", /no part of an XPath/],
    ["$x", /no part of an XPath/],
    ["(".repeat(200), /nests more than 100/],
  ] as const) {
    assert.throws(
      () => new XPath(text),
      (error) => error instanceof XmlError && message.test(error.message),
      text,
    );
  }
  for (const [text, message] of [
    ["count('x')", /where it needs nodes/],
    ["'x'/a", /where it needs nodes/],
    ["//item[matches(., '(')]", /invalid regular expression/],
  ] as const) {
    assert.throws(
      () => new XPath(text).select(DOCUMENT),
      (error) => error instanceof XmlError && message.test(error.message),
      text,
    );
  }
});

test("whatever the text, it selects something or is refused", () => {
  const piece = fc.constantFrom(
    ..."/ // . .. @ * ( ) [ ] | + - = != < > , item price 'x' 1 and or div mod not( count( text() last() position() parent:: ancestor::".split(
      " ",
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12, size: "max" }), fc.constantFrom("", " "), (pieces, separator) => {
      try {
        for (const item of new XPath(pieces.join(separator)).select(DOCUMENT)) {
          if (item.kind !== "attribute") writeXmlNode(item);
        }
      } catch (error) {
        assert.ok(error instanceof XmlError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});
