/** Numbers, sizes and times in the few characters that a table has for them. */

/** `0`, `0.5`, `12`, `1.2k`, `34M`: three digits at most. */
export function shortNumber(value: number): string {
  return scaled(value, 1000, ["", "k", "M", "G", "T"]);
}

/** `0B`, `512B`, `1.5KiB`. */
export function shortBytes(value: number): string {
  return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value;
  // 999.6 would be shown as 1000.
  while (unit < units.length - 1 && Math.round(rest) >= base) {
    rest /= base;
    unit += 1;
  }
  const digits = rest === 0 || rest >= 9.95 || (unit === 0 && Number.isInteger(rest)) ? 0 : rest >= 0.095 ? 1 : 2;
  if (rest > 0 && rest < 0.01) return `<0.01${units[0]}`;
  return `${rest.toFixed(digits)}${units[unit]}`;
}

/** How long something has lasted: `0s`, `59s`, `5m`, `3h20m`, `2d4h`. */
export function shortAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes < 10 && seconds % 60 > 0 ? `${minutes}m${seconds % 60}s` : `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 > 0 ? `${hours}h${minutes % 60}m` : `${hours}h`;
  const days = Math.floor(hours / 24);
  return hours % 24 > 0 && days < 10 ? `${days}d${hours % 24}h` : `${days}d`;
}
