import { type Detector, type DetectorContext, type JsonObject, MetadataUnavailable } from "./detector.ts";

/** A task of Amazon ECS, by its metadata endpoint (version 4, or 3). Matches internal/aws/ecs. */
export function ecsDetector({ environment, http }: DetectorContext): Detector {
  return {
    async detect(signal) {
      const base = environment.ECS_CONTAINER_METADATA_URI_V4?.trim() || environment.ECS_CONTAINER_METADATA_URI?.trim();
      if (!base) throw new MetadataUnavailable("ecs metadata unavailable: no task metadata endpoint detected");
      const task = await http.json({ url: `${base}/task` }, signal);
      const arn = task.text("TaskARN");
      const [, , , region = "", account = "", resource = ""] = arn.split(":");
      const cluster = task.text("Cluster");
      const launchType = task.text("LaunchType").toLowerCase();
      const self = await http.json({ url: base }, signal).catch(() => undefined);
      return {
        attributes: {
          "cloud.provider": "aws",
          "cloud.platform": "aws_ecs",
          "cloud.account.id": account,
          "cloud.region": region,
          "cloud.availability_zone": task.text("AvailabilityZone"),
          "aws.ecs.task.arn": arn,
          "aws.ecs.task.family": task.text("Family"),
          "aws.ecs.task.revision": task.text("Revision"),
          "aws.ecs.task.id": resource.split("/").at(-1),
          "aws.ecs.cluster.arn": cluster.includes(":")
            ? cluster
            : `arn:aws:ecs:${region}:${account}:cluster/${cluster}`,
          "aws.ecs.launchtype": launchType === "ec2" || launchType === "fargate" ? launchType : undefined,
          ...(self !== undefined && logs(task.list("Containers"), self.text("DockerId"), account)),
        },
      };
    },
  };
}

/** Log groups and streams of the task's other containers. */
function logs(containers: readonly JsonObject[], self: string, account: string) {
  const own = containers.filter(
    (each) =>
      each.text("Type") === "NORMAL" &&
      each.text("KnownStatus") === "RUNNING" &&
      each.text("LogDriver") === "awslogs" &&
      each.text("DockerId") !== self &&
      each.at("LogOptions") !== undefined,
  );
  if (own.length === 0) return {};
  const names = own.map((each) => each.text("LogOptions", "awslogs-group"));
  const streams = own.map((each) => each.text("LogOptions", "awslogs-stream"));
  const arns = own.map(
    (each, i) => `arn:aws:logs:${each.text("LogOptions", "awslogs-region")}:${account}:log-group:${names[i]}`,
  );
  return {
    "aws.log.group.names": names,
    "aws.log.group.arns": arns,
    "aws.log.stream.names": streams,
    "aws.log.stream.arns": streams.map((stream, i) => `${arns[i]}:log-stream:${stream}`),
  };
}
