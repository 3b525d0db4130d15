/**
 * SQL without its literals: texts, numbers, booleans, nulls and positional parameters become question marks, and so do
 * digits in names. All else stays as it is, letter by letter. Gives what github.com/DataDog/go-sqllexer v0.2.4 gives with
 * the settings that upstream's processor has (WithReplaceDigits, WithDollarQuotedFunc, and the defaults).
 */

const PLACEHOLDER = "?";
/** In MySQL double quotes are of texts, backticks of names, and # begins a comment. */
export const MYSQL = "mysql";

const SPACE = /[ \t\n\r]+/y;
const LINE_COMMENT = /--[^\n]*/y;
const HASH_COMMENT = /#[^\n]*/y;
const NUMBER_SIGN = /[+-](?=[0-9.])/y;
const HEXADECIMAL = /0[xX][0-9a-fA-F]*/y;
const OCTAL = /0[0-7]+/y;
/** As the lexer reads them: signs belong to an exponent only. */
const DECIMAL = /(?:[0-9.]+|[eE][+-]?)*/y;
const WORD_START = /[\p{L}_]/u;
const WORD = /[".?$#/@!_0-9\p{L}]+/uy;
const LETTERS = /[A-Za-z_]+/y;
const KEYWORD_END = /$|[(),;.:[\]{} \t\n\r]|\/\*/y;
const POSITIONAL = /\$[0-9]+/y;
const DOLLAR_TAG = /\$[^$]*\$/y;
const FUNCTION_TAG = "$func$";
const BEYOND_ASCII = /[^\0-\x7f]/;
/** Beyond ASCII the lexer takes one character at most. */
const AT_NAME = /@@?(?:[A-Za-z0-9_]+|(?=[\p{L}\p{N}]))(?:(?![\0-\x7f])[\p{L}\p{N}])?/uy;
const JSON_OPERATOR = /->>?|#>>?|#-|\?[|&]|<@|@[?>@]/y;
const OPERATOR_CHARS = "+-*/=<>!&|^%~?@:#";

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
const LITERAL_WORDS = words("TRUE FALSE NULL");
/** Of these, what follows is another token even if it could be part of a name. */
const KEYWORDS = words(
  "SELECT INSERT UPDATE DELETE CREATE ALTER DROP JOIN GRANT REVOKE COMMIT BEGIN TRUNCATE MERGE EXECUTE EXEC EXPLAIN " +
    "STRAIGHT_JOIN USE CLONE VACUUM FROM INTO TABLE EXISTS ONLY ADD ALL AND ANY ASC BETWEEN BY CASE CHECK COLUMN " +
    "CONSTRAINT DATABASE DECLARE DEFAULT DESC DISTINCT ELSE END ESCAPE FOREIGN GROUP HAVING IN INDEX INNER IS KEY " +
    "LATERAL LEFT LIKE LIMIT NOT ON OR ORDER OUT OUTER PRIMARY PROCEDURE REPLACE RETURNS RIGHT ROLLBACK ROWNUM SET " +
    "SOME TOP UNION UNIQUE VALUES VIEW WHERE CUBE ROLLUP LITERAL WINDOW ANALYZE ILIKE USING ASSERTION DOMAIN CLUSTER " +
    "COPY PLPGSQL TRIGGER TEMPORARY UNLOGGED RECURSIVE RETURNING OFFSET OF SKIP IF PROC WITH AS",
);
/** The field of `EXTRACT(field FROM …)` is a literal too. */
const EXTRACT_FIELDS = words(
  "CENTURY DAY DECADE DOW DOY EPOCH HOUR ISODOW ISOYEAR JULIAN MICROSECONDS MILLENNIUM MILLISECONDS MINUTE MONTH " +
    "QUARTER SECOND TIMEZONE TIMEZONE_HOUR TIMEZONE_MINUTE WEEK YEAR",
);
const SPACE_CHAR = /[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Space at both ends as Go's `strings.TrimSpace` cuts it off. */
export function trimSpace(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && SPACE_CHAR.test(text[from]!)) from += 1;
  while (to > from && SPACE_CHAR.test(text[to - 1]!)) to -= 1;
  return text.slice(from, to);
}

export function withoutLiterals(sql: string, system: string): string {
  // The lexer takes a NUL for the end.
  const end = sql.indexOf("\0");
  const lexer = new SqlLexer(end < 0 ? sql : sql.slice(0, end), system === MYSQL);
  let out = "";
  /** How far `EXTRACT(` has been read: its name, its parenthesis. */
  let extract: "" | "name" | "open" = "";
  for (let token = lexer.next(); token !== undefined; token = lexer.next()) {
    const { kind, text } = token;
    const isField = kind === "word" && extract === "open" && EXTRACT_FIELDS.has(text.toUpperCase());
    out += isField ? PLACEHOLDER : shown(token, system);
    if (kind === "blank") continue;
    if (kind === "call" && text.toUpperCase() === "EXTRACT") extract = "name";
    else extract = extract === "name" && text === "(" ? "open" : "";
  }
  return trimSpace(out);
}

function shown({ kind, text }: Token, system: string): string {
  switch (kind) {
    case "literal":
      return PLACEHOLDER;
    case "word":
    case "name":
      return text.replace(/[0-9]+/g, PLACEHOLDER);
    case "function": {
      const body = text.slice(FUNCTION_TAG.length, -FUNCTION_TAG.length);
      return FUNCTION_TAG + withoutLiterals(body, system) + FUNCTION_TAG;
    }
    default:
      return text;
  }
}

/**
 * What a token is: space and comments, a literal, a word, one with a parenthesis right after it, a name in quotes, the body
 * of a function, or anything else.
 */
type Kind = "blank" | "literal" | "word" | "call" | "name" | "function" | "other";
interface Token {
  readonly kind: Kind;
  readonly text: string;
}

class SqlLexer {
  readonly #sql: string;
  readonly #isMysql: boolean;
  #at = 0;
  /** Where the match ends that was last looked for. */
  #end = 0;

  constructor(sql: string, isMysql: boolean) {
    this.#sql = sql;
    this.#isMysql = isMysql;
  }

  /** Undefined at the end. */
  next(): Token | undefined {
    if (this.#at >= this.#sql.length) return undefined;
    const kind = this.#scan(this.#sql[this.#at]!);
    const text = this.#sql.slice(this.#at, this.#end);
    this.#at = this.#end;
    return { kind, text };
  }
  /** Sets the end of the token that begins with this character. */
  #scan(char: string): Kind {
    if (this.#match(SPACE)) return "blank";
    const codePoint = String.fromCodePoint(this.#sql.codePointAt(this.#at)!);
    if (WORD_START.test(codePoint)) return this.#word();
    if (char === '"' && !this.#isMysql) return this.#name('"');
    if (char === '"' || char === "'") return this.#text(char);
    if (this.#match(LINE_COMMENT)) return "blank";
    if (this.#sql.startsWith("/*", this.#at)) return this.#blockComment();
    if (this.#match(NUMBER_SIGN)) return this.#match(DECIMAL, this.#at + 1) ? "literal" : "other";
    if (char >= "0" && char <= "9") {
      return this.#match(HEXADECIMAL) || this.#match(OCTAL) || this.#match(DECIMAL) ? "literal" : "other";
    }
    if (char === "$") return this.#dollar();
    if (char === "`" && this.#isMysql) return this.#name("`");
    if (char === "#" && this.#isMysql && this.#match(HASH_COMMENT)) return "blank";
    if (char === "@" && this.#match(AT_NAME)) return "other";
    if (OPERATOR_CHARS.includes(char) && char !== "*") return this.#operator();
    this.#end = this.#at + codePoint.length;
    return "other";
  }

  #match(pattern: RegExp, from = this.#at): boolean {
    pattern.lastIndex = from;
    if (!pattern.test(this.#sql)) return false;
    this.#end = pattern.lastIndex;
    return true;
  }
  /** What has no end goes on to the end of all. */
  #rest(kind: Kind): Kind {
    this.#end = this.#sql.length;
    return kind;
  }

  #word(): Kind {
    if (this.#match(LETTERS)) {
      const end = this.#end;
      const text = this.#sql.slice(this.#at, end).toUpperCase();
      const isLiteral = LITERAL_WORDS.has(text);
      if ((isLiteral || KEYWORDS.has(text)) && this.#match(KEYWORD_END, end)) {
        this.#end = end;
        return isLiteral ? "literal" : "other";
      }
    }
    this.#match(WORD);
    return this.#sql[this.#end] === "(" && this.#sql[this.#at]! < "\x80" ? "call" : "word";
  }
  /** Of several names with dots between them, the quotes may be one. Without an end it stays as it is. */
  #name(quote: string): Kind {
    for (let at = this.#at + 1; at < this.#sql.length; at++) {
      if (this.#sql[at] !== quote) continue;
      if (this.#sql.startsWith(`${quote}.${quote}`, at)) at += 2;
      else {
        this.#end = at + 1;
        return "name";
      }
    }
    return this.#rest("other");
  }
  /** One without an end is a literal too. */
  #text(quote: string): Kind {
    let at = this.#at + 1;
    for (; at < this.#sql.length && this.#sql[at] !== quote; at++) if (this.#sql[at] === "\\") at += 1;
    this.#end = Math.min(at + 1, this.#sql.length);
    return "literal";
  }
  #blockComment(): Kind {
    const close = this.#sql.indexOf("*/", this.#at + 2);
    if (close < 0) return this.#rest("other");
    this.#end = close + 2;
    return "blank";
  }

  #dollar(): Kind {
    if (this.#match(POSITIONAL)) return "literal";
    if (!this.#match(DOLLAR_TAG)) return this.#rest("other");
    const tag = this.#sql.slice(this.#at, this.#end);
    const close = BEYOND_ASCII.test(tag) ? -1 : this.#sql.indexOf(tag, this.#end);
    if (close < 0) return this.#rest("other");
    this.#end = close + tag.length;
    return tag === FUNCTION_TAG ? "function" : "literal";
  }

  #operator(): Kind {
    if (this.#match(JSON_OPERATOR)) return "other";
    let end = this.#at + 1;
    for (; end < this.#sql.length && OPERATOR_CHARS.includes(this.#sql[end]!); end++) {
      // What follows `=` may be a parameter.
      if (this.#sql[end - 1] === "=" && (this.#sql[end] === "?" || this.#sql[end] === "@")) break;
    }
    this.#end = end;
    return "other";
  }
}
