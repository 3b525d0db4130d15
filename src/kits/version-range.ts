/**
 * Versions and ranges of versions such as `>=10.0.0 <12.0.0 || 14.x`: parts side by side must all hold, `||` separates
 * alternatives, `!` or `!=` excludes. Matches `ParseRange` of the Go module `blang/semver`, without pre-releases; a
 * version may have fewer than three numbers.
 */

/** Major, minor and patch number. */
export type Version = readonly [number, number, number];

const CONDITION = /^(==?|>=?|<=?|!=?|)(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?$/;

export function compareVersions(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** Whether a version is in the range. Throws for a text that is no range. */
export function parseVersionRange(text: string): (version: Version) => boolean {
  const alternatives = text.split("||").map((part) => {
    const words = part.replace(/([<>=!])\s+/g, "$1").split(/\s+/);
    const conditions = words.filter((word) => word !== "").map(parseCondition);
    if (conditions.length === 0) throw new Error(`${JSON.stringify(text)} is no range of versions`);
    return (version: Version) => conditions.every((holds) => holds(version));
  });
  return (version) => alternatives.some((holds) => holds(version));
}

function parseCondition(text: string): (version: Version) => boolean {
  const match = CONDITION.exec(text);
  if (match === null) {
    throw new Error(`${JSON.stringify(text)} is no condition on a version: write it as >=10.0.0`);
  }
  const [, operator, ...numbers] = match as unknown as [string, string, ...(string | undefined)[]];
  const parts = numbers.map((each) => (each === undefined || /[xX*]/.test(each) ? undefined : Number(each)));
  const wild = numbers.findIndex((each) => each !== undefined && /[xX*]/.test(each));
  const low: Version = [parts[0] ?? 0, parts[1] ?? 0, parts[2] ?? 0];
  // With a wildcard the condition is about all versions from `low` up to `next`, without one about `low` alone.
  const next: Version =
    wild < 0
      ? [low[0], low[1], low[2] + 1]
      : wild === 0
        ? [Infinity, 0, 0]
        : wild === 1
          ? [low[0] + 1, 0, 0]
          : [low[0], low[1] + 1, 0];
  const from = (version: Version) => compareVersions(version, low) >= 0;
  const below = (version: Version) => compareVersions(version, next) < 0;
  switch (operator) {
    case ">":
      return (version) => !below(version);
    case ">=":
      return from;
    case "<":
      return (version) => !from(version);
    case "<=":
      return below;
    case "!":
    case "!=":
      return (version) => !(from(version) && below(version));
    default:
      return (version) => from(version) && below(version);
  }
}
