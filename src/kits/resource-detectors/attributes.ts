/** The attributes that each detector can give, and whether it does unless told otherwise. Matches the config.go files in
 * internal/component/otelcol/processor/resourcedetection/internal of Alloy. */
export const DETECTOR_ATTRIBUTES = {
  ec2: attributes(
    "cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id host.image.id host.name host.type",
  ),
  ecs: attributes(
    "aws.ecs.cluster.arn aws.ecs.launchtype aws.ecs.task.arn aws.ecs.task.family aws.ecs.task.id aws.ecs.task.revision aws.log.group.arns aws.log.group.names aws.log.stream.arns aws.log.stream.names cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region",
  ),
  eks: attributes("cloud.platform cloud.provider", "cloud.account.id k8s.cluster.name"),
  elasticbeanstalk: attributes(
    "cloud.platform cloud.provider deployment.environment service.instance.id service.version",
  ),
  lambda: attributes(
    "aws.log.group.names aws.log.stream.names cloud.platform cloud.provider cloud.region faas.instance faas.max_memory faas.name faas.version",
  ),
  akamai: attributes("cloud.provider cloud.region host.id host.name"),
  azure: attributes(
    "azure.resourcegroup.name azure.vm.name azure.vm.scaleset.name azure.vm.size cloud.account.id cloud.platform cloud.provider cloud.region host.id host.name",
    "cloud.availability_zone",
  ),
  aks: attributes("cloud.platform cloud.provider", "k8s.cluster.name"),
  consul: attributes("cloud.region host.id host.name"),
  docker: attributes("host.name os.type"),
  digitalocean: attributes("cloud.provider cloud.region host.id host.name"),
  gcp: attributes(
    "cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region faas.instance faas.name faas.version gcp.cloud_run.job.execution gcp.cloud_run.job.task_index gcp.gce.instance.group_manager.name gcp.gce.instance.group_manager.region gcp.gce.instance.group_manager.zone host.id host.name host.type k8s.cluster.name",
    "faas.id gcp.gce.instance.hostname gcp.gce.instance.name",
  ),
  heroku: attributes(
    "cloud.provider heroku.app.id heroku.dyno.id heroku.release.commit heroku.release.creation_timestamp service.instance.id service.name service.version",
  ),
  hetzner: attributes("cloud.availability_zone cloud.provider cloud.region host.id host.name"),
  system: attributes(
    "host.name os.type",
    "host.arch host.cpu.cache.l2.size host.cpu.family host.cpu.model.id host.cpu.model.name host.cpu.stepping host.cpu.vendor.id host.id host.interface host.ip host.mac os.build.id os.description os.name os.version",
  ),
  openshift: attributes("cloud.platform cloud.provider cloud.region k8s.cluster.name"),
  kubernetes_node: attributes("k8s.node.name k8s.node.uid"),
  kubeadm: attributes("k8s.cluster.name k8s.cluster.uid"),
  nova: attributes("cloud.platform cloud.provider cloud.region cloud.availability_zone host.id host.name host.type"),
  oraclecloud: attributes(
    "cloud.platform cloud.provider cloud.region cloud.availability_zone host.id host.name host.type k8s.cluster.name oracle_cloud.realm",
  ),
  scaleway: attributes(
    "cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id host.image.id host.image.name host.name host.type",
  ),
  upcloud: attributes("cloud.provider cloud.region host.id host.name"),
  vultr: attributes("cloud.provider cloud.region host.id host.name"),
  tencent_cvm: attributes(
    "cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id host.image.id host.name host.type",
  ),
  alibaba_ecs: attributes(
    "cloud.account.id cloud.availability_zone cloud.platform cloud.provider cloud.region host.id host.image.id host.name host.type",
  ),
} as const;

/** Names with a space between them: those that are on, and those that are off. */
function attributes(on: string, off = ""): ReadonlyMap<string, boolean> {
  const names = (text: string) => text.split(" ").filter((name) => name !== "");
  return new Map([
    ...names(on).map((name) => [name, true] as const),
    ...names(off).map((name) => [name, false] as const),
  ]);
}
