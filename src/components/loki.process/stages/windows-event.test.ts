import assert from "node:assert/strict";
import { test } from "node:test";
import { runStages, startStages } from "../pipeline-testing.ts";

/** What a stage extracts from a message, of the names in `KEYS`. */
async function extracted(stage: string, message: unknown, before: Readonly<Record<string, string>> = {}) {
  const names = new Map<string, string>();
  const line = JSON.stringify({ message, ...before });
  const keys = [...KEYS, ...Object.keys(before)];
  const config = `
    stage.json {\n expressions = { message = "", test = "" }\n}
    ${stage}
    stage.structured_metadata {\n values = { ${keys.map((each) => `${JSON.stringify(each)} = ""`).join(", ")} }\n}
    stage.output {\n source = "nothing"\n}`;
  await using run = await startStages(config);
  await run.send([line]);
  const metadata = run.items[0]!.metadata ?? [];
  for (let i = 0; i < metadata.length; i += 2) names.set(metadata[i]!, metadata[i + 1]!);
  return Object.fromEntries([...names].sort());
}

const KEYS = [
  "Key1",
  "Key2",
  "Key3",
  "Key_1",
  "_Key2",
  "Key_3",
  "_",
  "test_extracted",
  "Key1_extracted",
  "Description",
];
KEYS.push(
  "Subject_SecurityID",
  "Subject_AccountName",
  "Privileges",
  "Level",
  "PackageName(NTLMonly)",
  "A_B",
  "__extracted",
);
KEYS.push("Description_extracted", "_x", "Ünïcode", "_n_code", "0Key2", "Key@3");

for (const [what, options, message, expected] of [
  [
    "pairs",
    "",
    "Key1: Value 1\r\nKey2: Value 2\r\nKey3: Value: 3",
    { Key1: "Value 1", Key2: "Value 2", Key3: "Value: 3" },
  ],
  ["names are mended", "", "Key 1: 1\r\n0Key2: 2\r\nKey@3: 3\r\n: 4", { Key_1: "1", _Key2: "2", Key_3: "3", _: "4" }],
  ["bad names are left out", "drop_invalid_labels = true", "Key 1: 1\r\n0Key2: 2\r\n: 4\r\nKey1:x", { Key1: "x" }],
  ["a name that is taken", "", "test: new", { test: "old", test_extracted: "new" }],
  ["a name that is overwritten", "overwrite_existing = true", "test: new", { test: "new" }],
  ["a name twice", "", "Key1: a\r\nKey1: b\r\nKey1: c", { Key1: "a", Key1_extracted: "c" }],
  ["a name twice, overwritten", "overwrite_existing = true", "Key1: a\r\nKey1: b", { Key1: "b" }],
  ["lines without a colon", "", "no pair\r\n\r\nKey1: a", { Key1: "a" }],
  ["a plain newline ends no line", "", "Key1: a\nKey2: b", { Key1: "a\nKey2: b" }],
  ["white space around values", "", "Key1:\t\u00a0 a b \u0085\u3000\r\nKey2:", { Key1: "a b", Key2: "" }],
  ["characters beyond ASCII", "", "Ünïcode: é", { _n_code: "é" }],
  ["an empty message", "", "", {}],
] as const) {
  test(`eventlogmessage: ${what}`, async () => {
    const found = await extracted(`stage.eventlogmessage {\n ${options}\n}`, message, { test: "old" });
    assert.deepEqual(found, { test: "old", ...expected });
  });
}

const LOGON =
  "An account was logged on.\r\n\r\nSubject:\r\n\tSecurity ID:\t\tS-1-1-1\r\n\tAccount Name:\t\tHost$\r\n\r\nLevel:\t\tHigh\r\n\r\nIt is said: in the text.";

for (const [what, options, message, expected] of [
  ["a description alone", "", "All is well: really.", { Description: "All is well: really." }],
  [
    "sections",
    "",
    LOGON,
    {
      Description: "An account was logged on.",
      Subject_SecurityID: "S-1-1-1",
      Subject_AccountName: "Host$",
      Level: "High",
    },
  ],
  [
    "a value of several lines",
    "",
    "D\r\n\r\nPrivileges:\t\tSeA\r\n\t\t\tSeB\r\n\t\t\tSeC",
    { Description: "D", Privileges: "SeA,SeB,SeC" },
  ],
  ["several lines end at an empty one", "", "D\r\n\r\nKey1: a\r\nb\r\n", { Description: "D", Key1: "a,b" }],
  [
    "any character in names",
    "",
    "D\r\n\r\nPackage Name (NTLM only):\t-",
    { Description: "D", "PackageName(NTLMonly)": "-" },
  ],
  [
    "a title that is not first is none",
    "",
    "D\r\n\r\nKey1: a\r\nA:\r\nKey2: b",
    { Description: "D", Key1: "a", Key2: "b" },
  ],
  ["a name that is taken", "", "D\r\n\r\ntest: new", { Description: "D", test_extracted: "new" }],
  ["a name that is overwritten", "overwrite_existing = true", "D\r\n\r\ntest: new", { Description: "D", test: "new" }],
  ["no name", "", "D\r\n\r\n : a", { Description: "D", _: "a" }],
  ["no name, left out", "drop_invalid_labels = true", "D\r\n\r\n : a\r\nKey1: b", { Description: "D", Key1: "b" }],
  ["a title and a name", "", "D\r\n\r\nA:\r\n\tB: c", { Description: "D", A_B: "c" }],
  ["newlines within a description go", "", "a\r\nb\nc", { Description: "abc" }],
  ["a field called Description", "", "D\r\n\r\nDescription: e", { Description: "D", Description_extracted: "e" }],
  ["an empty message", "", "", { Description: "" }],
] as const) {
  test(`windowsevent: ${what}`, async () => {
    const found = await extracted(`stage.windowsevent {\n ${options}\n}`, message, { test: "old" });
    assert.deepEqual(found, { test: "old", ...expected });
  });
}

test("entries without the source, or with null in its place, pass", async () => {
  const json = 'stage.json {\n expressions = { message = "" }\n}';
  for (const stage of ["eventlogmessage", "windowsevent"]) {
    assert.deepEqual(await runStages(`${json}\nstage.${stage} {}`, ["{}", '{"message":null}', "text"]), [
      "{} {}",
      '{} {"message":null}',
      "{} text",
    ]);
  }
});

test("bad configurations", async () => {
  await assert.rejects(runStages('stage.eventlogmessage {\n source = "a-b"\n}', []), /letters, digits and underscores/);
  await assert.rejects(runStages('stage.windowsevent {\n source = ""\n}', []), /must not be empty/);
});
