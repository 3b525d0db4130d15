import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Answer, AnswerError } from "./answer.ts";

test("what is missing or null is zero", () => {
  const answer = new Answer({ a: null });
  for (const name of ["a", "b", "__proto__", "constructor"]) {
    assert.deepEqual(
      [
        answer.text(name),
        answer.number(name),
        answer.bool(name),
        answer.at(name).items(),
        answer.at(name).textMap().size,
      ],
      ["", 0, false, [], 0],
    );
    assert.ok(answer.at(name).at("deeper").isNothing);
  }
  assert.equal(answer.at("a").at("b").text("c"), "");
});

test("what is there has to be of the type that is wanted; the message says where", () => {
  const answer = new Answer([{ Node: { Address: "a", Port: 80, Up: true, Meta: { "x/y": 1 }, Tags: ["t"] } }]);
  const node = answer.items()[0]!.at("Node");
  assert.deepEqual(
    [node.text("Address"), node.number("Port"), node.bool("Up"), node.at("Tags").texts()],
    ["a", 80, true, ["t"]],
  );
  for (const [wrong, message] of [
    [() => answer.text("a"), "it must be a map"],
    [() => node.text("Port"), "[0].Node.Port must be a text"],
    [() => node.number("Address"), "[0].Node.Address must be a whole number"],
    [() => node.bool("Port"), "[0].Node.Port must be a bool"],
    [() => node.items(), "[0].Node must be a list"],
    [() => node.at("Tags").textMap(), "[0].Node.Tags must be a map"],
    [() => node.at("Meta").textMap(), '[0].Node.Meta["x/y"] must be a text'],
    [() => new Answer({ a: 1.5 }).number("a"), "a must be a whole number"],
  ] as const) {
    assert.throws(wrong, { name: "AnswerError", message });
  }
});

test("whatever JSON comes, there is a value or an AnswerError", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const answer = new Answer(value);
      for (const read of [
        () => answer.text("a"),
        () => answer.items().map((each) => each.number("b")),
        () => answer.textMap(),
      ]) {
        try {
          read();
        } catch (error) {
          assert.ok(error instanceof AnswerError);
        }
      }
    }),
  );
});
