import assert from "node:assert/strict";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { Flow } from "#pipeline/flow";
import { EncodingError, fileEncoding } from "./encoding.ts";
import { LineColumns } from "./line-columns.ts";
import { OpenFile } from "./open-file.ts";

/** Opens a file with a small buffer, so that every border is crossed. */
async function openSmall(path: string, bufferSize: number, encoding: string) {
  const lines: string[] = [];
  const times: string[] = [];
  const file = await OpenFile.open(path, {
    labels: Labels.empty,
    encoding: fileEncoding(encoding),
    lastTime: { ms: 0, ns: 0 },
    accounts: new Flow(() => 0),
    now: () => 1_700_000_000_000.5,
    deliver(batch) {
      for (let i = 0; i < batch.count; i++) {
        lines.push(Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])).toString("utf8"));
        times.push(`${batch.ms[i]}.${batch.ns[i]}`);
      }
      batch.acknowledgement.release();
    },
    delivered() {},
    lineSplit() {},
  });
  file.seek(0);
  return { file, lines, times, slot: { buffer: Buffer.alloc(bufferSize), columns: new LineColumns() } };
}

test("gives each line once, however the file grows and wherever chunks end", async () => {
  const directory = await mkdtemp(join(tmpdir(), "open-file-"));
  const path = join(directory, "a.log");
  const line = fc.string({
    unit: fc.constantFrom("a", "b", "\r", "\u00e9", "\u010a", "\u0a00", "\u{1f600}", " "),
    maxLength: 30,
  });
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 12 }),
        line,
        fc.array(fc.nat(300), { maxLength: 5 }),
        fc.integer({ min: 4, max: 40 }),
        fc.constantFrom("", "UTF-16LE", "UTF-16BE", "bom"),
        async (lines, last, cuts, bufferSize, encoding) => {
          const text = lines.map((each) => `${each}\n`).join("") + last;
          const wide = Buffer.from(encoding === "bom" ? `\ufeff${text}` : text, encoding === "" ? "utf8" : "utf16le");
          const bytes = encoding === "UTF-16BE" ? wide.swap16() : wide;
          const borders = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
          let written = encoding === "bom" ? 2 : 0;
          await writeFile(path, bytes.subarray(0, written));
          const opened = await openSmall(path, bufferSize, encoding === "bom" ? "" : encoding);
          try {
            for (const border of borders) {
              if (border <= written) continue;
              await appendFile(path, bytes.subarray(written, border));
              written = border;
              while (await opened.file.read(opened.slot));
            }
            while (await opened.file.read(opened.slot, { flush: true }));
          } finally {
            await opened.file.close();
          }
          const expected = [...lines, ...(last === "" ? [] : [last])].map((each) => each.replace(/\r$/, ""));
          // What is flushed without a newline keeps its carriage return only if a newline would have followed; both are lines.
          assert.deepEqual(opened.lines, expected, JSON.stringify([text, borders, bufferSize, encoding]));
          assert.equal(opened.file.committed, bytes.length);
          assert.equal(new Set(opened.times).size, opened.times.length);
        },
      ),
      { numRuns: 300 },
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("finds the end of the last line from behind", async () => {
  const directory = await mkdtemp(join(tmpdir(), "open-file-"));
  const path = join(directory, "a.log");
  try {
    for (const [text, encoding, offset] of [
      ["", "", 0],
      ["no newline", "", 0],
      ["a\nb\nrest that is long", "", 4],
      ["a\n", "", 2],
      ["a\n\u0a00\u010ab", "UTF-16LE", 4],
    ] as const) {
      await writeFile(path, Buffer.from(text, encoding === "" ? "utf8" : "utf16le"));
      const { file, slot } = await openSmall(path, 6, encoding);
      await file.seekToEnd(slot);
      assert.equal(file.offset, offset, JSON.stringify(text));
      await file.close();
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("a batch that is not accepted is read again", async () => {
  const directory = await mkdtemp(join(tmpdir(), "open-file-"));
  const path = join(directory, "a.log");
  await writeFile(path, "1\n2\n");
  let refuse = true;
  let lines = 0;
  const flow = new Flow(() => 5);
  const file = await OpenFile.open(path, {
    labels: Labels.empty,
    encoding: fileEncoding(""),
    lastTime: { ms: 0, ns: 0 },
    accounts: flow,
    now: Date.now,
    async deliver(batch) {
      if (refuse) throw new Error("not now");
      lines += batch.count;
    },
    delivered() {},
    lineSplit() {},
  });
  try {
    const slot = { buffer: Buffer.alloc(64), columns: new LineColumns() };
    file.seek(0);
    await assert.rejects(file.read(slot), /not now/);
    assert.deepEqual([file.offset, file.outstanding], [0, 0]);
    assert.equal(flow.unacknowledged.items, 0);
    refuse = false;
    await file.read(slot);
    assert.deepEqual([lines, file.offset, file.committed, file.outstanding], [2, 4, 0, 1]);
    assert.deepEqual(flow.unacknowledged, { items: 2, bytes: 4, oldest: 5 });
    file.seek(0); // as after a truncation
    assert.equal(flow.unacknowledged.items, 0);
  } finally {
    await file.close();
    await rm(directory, { recursive: true });
  }
});

test("knows encodings by their IANA names", () => {
  for (const name of [
    "UTF-8",
    "utf-16",
    "UTF-16LE",
    "ISO-8859-1",
    "latin1",
    "windows-1252",
    "Shift_JIS",
    "GB18030",
    "KOI8-R",
    "ISO-8859-15",
  ]) {
    assert.ok(fileEncoding(name), name);
  }
  assert.equal(
    fileEncoding("ISO-8859-1").decode!(new Uint8Array([0x80])),
    "\x80",
    "not windows-1252, as browsers have it",
  );
  assert.throws(() => fileEncoding("klingon"), EncodingError);
});

test("a file that was opened empty is no copy of one that only ends alike", async () => {
  const directory = await mkdtemp(join(tmpdir(), "open-file-"));
  try {
    const [path, other] = [join(directory, "app.log"), join(directory, "app.log.1")];
    const end = "the same end of each line, longer than what is compared of it at once\n".repeat(2);
    await writeFile(other, `1 ${end}`);
    await writeFile(path, "");
    const { file } = await openSmall(path, 64, "");
    const { file: old } = await openSmall(other, 64, "");
    try {
      await appendFile(path, `2 ${end}`);
      assert.equal(await file.isLongerThan(old), false);
      await writeFile(path, `1 ${end}and more\n`);
      assert.equal(await file.isLongerThan(old), true);
    } finally {
      await file.close();
      await old.close();
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});
