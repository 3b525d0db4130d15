/** Numbers, times and sizes as people read them. */

/** Thousands get a prefix: `850`, `12.5 k`, `3.2 M`. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && magnitude < 0.001) return value.toExponential(2);
  const units = ["", " k", " M", " G", " T", " P"];
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 10_000 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return rounded(scaled) + (units[unit] ?? "");
}

/** `0/s`, `12.3/s`, `4.5 k/s`. */
export function rateText(perSecond: number): string {
  return `${numberText(perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond))}/s`;
}

export function bytesText(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${Number(scaled.toPrecision(3))} ${units[unit]}`;
}

/** `850 µs`, `12.5 ms`, `3.2 s`, `4 min`. */
export function durationText(ms: number): string {
  if (ms === 0) return "0 s";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${rounded(ms)} ms`;
  if (ms < 60_000) return `${rounded(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} days`;
}

/** `12 s ago`; `now` is epoch milliseconds. */
export function agoText(iso: string, now: number): string {
  const ms = now - Date.parse(iso);
  return ms < 1000 ? "just now" : `${durationText(Math.floor(ms / 1000) * 1000)} ago`;
}

/** `14:03:07.123` in local time. */
export function clockText(epochMs: number): string {
  if (!Number.isFinite(epochMs) || Math.abs(epochMs) > 8.64e15) return "?";
  const date = new Date(epochMs);
  const two = (n: number) => String(n).padStart(2, "0");
  const millis = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}
