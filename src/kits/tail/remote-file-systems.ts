import { statfs } from "node:fs/promises";

/**
 * File systems whose files others write too, other machines or a program behind FUSE: the kernel tells only of what is done
 * through it. Numbers of linux/magic.h and of the file systems' own sources, as statfs(2) gives them.
 */
const REMOTE: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xfe534d42, // SMB 2
  0xff534d42, // CIFS
  0x01021997, // 9P: WSL, virtual machines
  0x786f4256, // VirtualBox's shared folders
  0x65735546, // FUSE: sshfs, s3fs, GlusterFS
  0x00c36400, // Ceph
  0x5346414f, // AFS
  0x6b414653, // AFS of the kernel
  0x0bd00bd0, // Lustre
  0x19830326, // BeeGFS
  0x47504653, // GPFS
  0x01161970, // GFS2
  0x7461636f, // OCFS2
]);

/** Whether changes of files in the directory may come about without an event. Never rejects. */
export async function isRemote(directory: string): Promise<boolean> {
  const found = await statfs(directory).catch(() => undefined);
  return found !== undefined && REMOTE.has(found.type >>> 0);
}
