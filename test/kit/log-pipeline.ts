/** The lines of a file, labelled `app="shop"`, through `loki.process.p` with these stages to `loki.write.out`. */
export function logPipeline(path: string, url: string, stages: string): string {
  return `loki.source.file "a" {
  targets    = [{ __path__ = "${path}", app = "shop" }]
  forward_to = [loki.process.p.receiver]
}
loki.process "p" {
  forward_to = [loki.write.out.receiver]
  ${stages}
}
loki.write "out" {
  endpoint {
    url        = "${url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}
`;
}
