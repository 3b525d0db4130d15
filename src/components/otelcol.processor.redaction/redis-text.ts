import { trimSpace } from "./sql-text.ts";

/**
 * Redis commands without their values, line by line; keys stay. Gives what ObfuscateRedisString of
 * github.com/DataDog/datadog-agent/pkg/obfuscate v0.81.0 gives.
 */

const PLACEHOLDER = "?";
type Hide = (args: string[]) => void;

const hideFirst: Hide = (args) => void args.splice(0, Infinity, PLACEHOLDER);
const hideAfterFirst: Hide = (args) => {
  if (args.length > 1) args.splice(1, Infinity, PLACEHOLDER);
};
const hideAt =
  (index: number): Hide =>
  (args) => {
    if (args.length > index) args[index] = PLACEHOLDER;
  };
/** The last of each group of `step` arguments from `start` on. */
const hideEvery =
  (start: number, step: number): Hide =>
  (args) => {
    for (let i = start + step - 1; i < args.length; i += step) args[i] = PLACEHOLDER;
  };

const ZADD_OPTIONS = new Set(["NX", "XX", "CH", "INCR"]);
const hideScores: Hide = (args) => {
  let first = 1;
  while (first < args.length - 1 && ZADD_OPTIONS.has(args[first]!)) first += 1;
  hideEvery(args.length === 1 ? 0 : first, 2)(args);
};
const hideBitfield: Hide = (args) => {
  let set = 0;
  for (const [i, arg] of args.entries()) {
    if (arg.toUpperCase() === "SET") set = i;
    if (set > 0 && i - set === 3) {
      args[i] = PLACEHOLDER;
      return;
    }
  }
};
const hideConfig: Hide = (args) => {
  if (args[0]!.toUpperCase() === "SET") hideAt(2)(args);
};

const HIDE = new Map<string, Hide>();
function define(commands: string, hide: Hide): void {
  for (const command of commands.split(" ")) HIDE.set(command, hide);
}
define("AUTH MIGRATE HELLO", hideFirst);
define("ACL GEOHASH GEOPOS GEODIST LPUSH RPUSH SREM ZREM SADD", hideAfterFirst);
define("APPEND GETSET LPUSHX GEORADIUSBYMEMBER RPUSHX SET SETNX SISMEMBER ZRANK ZREVRANK ZSCORE", hideAt(1));
define("HSETNX LREM LSET SETBIT SETEX PSETEX SETRANGE ZINCRBY SMOVE RESTORE", hideAt(2));
define("LINSERT", hideAt(3));
define("GEOADD", hideEvery(1, 3));
define("HSET HMSET", hideEvery(1, 2));
define("MSET MSETNX", hideEvery(0, 2));
define("CONFIG", hideConfig);
define("BITFIELD", hideBitfield);
define("ZADD", hideScores);

export function withoutRedisValues(text: string): string {
  const out: string[] = [];
  const commands = parse(trimSpace(text));
  for (const [i, { name, args }] of commands.entries()) {
    const isLast = i === commands.length - 1;
    if (name === "" && !isLast) continue;
    if (args.length > 0) HIDE.get(name.toUpperCase())?.(args);
    out.push(args.length === 0 ? name : `${name} ${args.join(" ")}`);
  }
  return out.join("\n");
}

interface Command {
  name: string;
  readonly args: string[];
}

const BLANK = /[ \t\r]*/y;

/** Lines of a name and arguments; in double quotes, arguments may have spaces and line breaks. */
function parse(text: string): Command[] {
  const commands: Command[] = [{ name: "", args: [] }];
  let at = 0;
  /** Whether a name is to come; arguments follow it. */
  let isName = true;
  /** Skips blanks after a word; a line break ends the command. */
  const skip = () => {
    at = blanksEnd(text, at);
    if (text[at] !== "\n") return;
    at += 1;
    begin();
  };
  const begin = () => {
    commands.push({ name: "", args: [] });
    isName = true;
  };
  while (at < text.length) {
    const current = commands.at(-1)!;
    if (isName) {
      if (text[at] === " ") at = afterBlanks(text, at);
      const end = nameEnd(text, at);
      current.name = text.slice(at, end);
      at = end;
      if (text[at] === "\n") {
        at += 1;
        begin();
      } else {
        isName = false;
        skip();
      }
      continue;
    }
    const end = argumentEnd(text, at);
    current.args.push(text.slice(at, end));
    at = end;
    if (text[at] === "\n") {
      at += 1;
      begin();
    } else skip();
  }
  return commands;
}
function blanksEnd(text: string, from: number): number {
  BLANK.lastIndex = from;
  BLANK.test(text);
  return BLANK.lastIndex;
}
/** The same with one line break, before a name. */
function afterBlanks(text: string, from: number): number {
  const end = blanksEnd(text, from);
  return text[end] === "\n" ? end + 1 : end;
}
function nameEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== " " && text[at] !== "\n") at += 1;
  return at;
}
function argumentEnd(text: string, from: number): number {
  let isQuoted = false;
  let isEscaped = false;
  let at = from;
  for (; at < text.length; at++) {
    const char = text[at];
    if (char === "\\" && !isEscaped) {
      isEscaped = true;
      continue;
    }
    if (char === '"' && !isEscaped) isQuoted = !isQuoted;
    else if (!isQuoted && (char === " " || char === "\n")) break;
    isEscaped = false;
  }
  return at;
}
