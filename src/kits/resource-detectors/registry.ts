import type { Secret } from "#lang/value";
import { aksDetector, azureDetector } from "./azure.ts";
import {
  akamaiDetector,
  alibabaDetector,
  digitalOceanDetector,
  hetznerDetector,
  novaDetector,
  oracleCloudDetector,
  scalewayDetector,
  tencentDetector,
  upcloudDetector,
  vultrDetector,
} from "./cloud-services.ts";
import { type ConsulOptions, consulDetector } from "./consul.ts";
import type { Detector, DetectorContext } from "./detector.ts";
import { dockerDetector } from "./docker.ts";
import { type Ec2Options, ec2Detector } from "./ec2.ts";
import { ecsDetector } from "./ecs.ts";
import { eksDetector } from "./eks.ts";
import { envDetector } from "./env.ts";
import { gcpDetector } from "./gcp.ts";
import { kubeadmDetector, kubernetesNodeDetector } from "./kubernetes.ts";
import type { KubernetesAccess } from "./kubernetes-api.ts";
import { dynatraceDetector, elasticBeanstalkDetector, herokuDetector, lambdaDetector } from "./local-platforms.ts";
import { type OpenShiftOptions, openshiftDetector } from "./openshift.ts";
import { type HostnameSource, systemDetector } from "./system.ts";

/** What detectors are told beside which attributes are wanted. */
export interface DetectorOptions {
  readonly failOnMissing: boolean;
  readonly ec2: Ec2Options;
  readonly eks: { readonly nodeVariable: string };
  readonly azure: { readonly tags: readonly string[] };
  readonly consul: ConsulOptions & { readonly token: Secret };
  readonly system: { readonly sources: readonly HostnameSource[] };
  readonly openshift: OpenShiftOptions;
  readonly kubernetesNode: KubernetesAccess & { readonly nodeVariable: string };
  readonly kubeadm: KubernetesAccess;
  readonly nova: { readonly labels: readonly string[] };
}

type Make = (context: DetectorContext, options: DetectorOptions) => Detector;

/** All detectors, by their names in configurations. */
export const DETECTORS = {
  env: (context) => envDetector(context),
  ec2: (context, { ec2 }) => ec2Detector(ec2, context),
  ecs: (context) => ecsDetector(context),
  eks: (context, { eks }) => eksDetector(eks.nodeVariable, context),
  elasticbeanstalk: (context) => elasticBeanstalkDetector(context),
  lambda: (context) => lambdaDetector(context),
  akamai: (context) => akamaiDetector(context),
  azure: (context, { azure }) => azureDetector(azure.tags, context),
  aks: (context) => aksDetector(context),
  consul: (context, { consul }) => consulDetector(consul, context),
  digitalocean: (context) => digitalOceanDetector(context),
  docker: (context) => dockerDetector(context),
  gcp: (context, { failOnMissing }) => gcpDetector(failOnMissing, context),
  heroku: (context) => herokuDetector(context),
  hetzner: (context) => hetznerDetector(context),
  system: (context, { system }) => systemDetector(system.sources, context),
  openshift: (context, { openshift }) => openshiftDetector(openshift, context),
  kubernetes_node: (context, { kubernetesNode }) =>
    kubernetesNodeDetector(kubernetesNode, kubernetesNode.nodeVariable, context),
  kubeadm: (context, { kubeadm }) => kubeadmDetector(kubeadm, context),
  dynatrace: (context) => dynatraceDetector(context),
  nova: (context, { nova }) => novaDetector(nova.labels, context),
  oraclecloud: (context) => oracleCloudDetector(context),
  scaleway: (context) => scalewayDetector(context),
  upcloud: (context) => upcloudDetector(context),
  vultr: (context) => vultrDetector(context),
  tencent_cvm: (context) => tencentDetector(context),
  alibaba_ecs: (context) => alibabaDetector(context),
} as const satisfies Record<string, Make>;

export type DetectorName = keyof typeof DETECTORS;
