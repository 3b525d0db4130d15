/** A pipeline as many a Promtail has for access logs, and lines for it. */

const METHODS = ["GET", "GET", "POST", "GET", "PUT"];
const STATUSES = [200, 200, 304, 200, 404, 200, 503, 201];
const AGENTS = ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "curl/8.14.1"];
/** Every so many lines one is a health check, which the pipeline drops. */
const HEALTH_EVERY = 10;

export function promtailLine(sequence: number, file = 0): string {
  const second = Math.floor(sequence / 100) % 60;
  const minute = Math.floor(sequence / 6_000) % 60;
  const hour = Math.floor(sequence / 360_000) % 24;
  const time = `21/Nov/2026:${[hour, minute, second].map((each) => String(each).padStart(2, "0")).join(":")} +0100`;
  const isHealth = sequence % HEALTH_EVERY === 0;
  const method = isHealth ? "GET" : METHODS[sequence % METHODS.length];
  const path = isHealth ? "/health" : `/api/v1/items/${sequence % 1_000}?page=${sequence % 7}`;
  const status = STATUSES[sequence % STATUSES.length];
  return `203.0.113.${sequence % 200} - u${sequence % 500} [${time}] "${method} ${path} HTTP/1.1" ${status} ${sequence % 9_000} "https://shop.example/" "${AGENTS[sequence % 2]}" file=${file} seq=${sequence}`;
}

/** How many of so many lines get through. */
export function promtailKept(lines: number): number {
  return lines - Math.ceil(lines / HEALTH_EVERY);
}

export const PROMTAIL_PIPELINE = `
loki.process "bench" {
  forward_to = [loki.write.bench.receiver]

  stage.regex {
    expression = "^(?P<remote>\\\\S+) - (?P<user>\\\\S+) \\\\[(?P<time>[^\\\\]]+)\\\\] \\"(?P<method>[A-Z]+) (?P<path>\\\\S+) [^\\"]*\\" (?P<status>\\\\d{3}) (?P<size>\\\\d+)"
  }
  stage.timestamp {
    source = "time"
    format = "02/Jan/2006:15:04:05 -0700"
  }
  stage.match {
    selector            = "{job=\\"bench\\"} |= \\"/health \\""
    action              = "drop"
    drop_counter_reason = "health_check"
  }
  stage.template {
    source   = "class"
    template = "{{ if hasPrefix \\"5\\" .status }}error{{ else }}ok{{ end }}"
  }
  stage.labels {
    values = { method = "", status = "", class = "" }
  }
  stage.match {
    selector = "{class=\\"error\\"}"
    stage.static_labels {
      values = { level = "error" }
    }
  }
}
`;
