import type { WriteVersion } from "#formats/remote-write/2-parts";

/** Marks a record of the queue that holds a request of remote write 2.0; without it, of 1.0. */
const VERSION_2 = 2 ** 30;
const SHARD = 2 ** 16;

/** The tag of a record of the queue: its version, and that it holds the series of `lane` among `shards` lanes. */
export function fragmentTag(version: WriteVersion, shards: number, lane: number): number {
  return (version === 2 ? VERSION_2 : 0) + shards * SHARD + lane;
}
export function tagVersion(tag: number): WriteVersion {
  return tag >= VERSION_2 ? 2 : 1;
}
export function tagShards(tag: number): number {
  return Math.max(1, Math.floor((tag % VERSION_2) / SHARD));
}
export function tagLane(tag: number): number {
  return tag % SHARD;
}
