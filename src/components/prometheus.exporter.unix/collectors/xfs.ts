import { counter } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { exists, listMatching, parseNumber, readLines, words } from "../files.ts";

const total = (name: string, help: string) => counter(`node_xfs_${name}_total`, help, "device");

/** Values of fs/xfs/DEVICE/stats/stats: first word of the line, index behind it. */
const VALUES = [
  ["extent_alloc", 0, total("extent_allocation_extents_allocated", "Number of extents allocated for a filesystem.")],
  ["extent_alloc", 1, total("extent_allocation_blocks_allocated", "Number of blocks allocated for a filesystem.")],
  ["extent_alloc", 2, total("extent_allocation_extents_freed", "Number of extents freed for a filesystem.")],
  ["extent_alloc", 3, total("extent_allocation_blocks_freed", "Number of blocks freed for a filesystem.")],
  ["abt", 0, total("allocation_btree_lookups", "Number of allocation B-tree lookups for a filesystem.")],
  ["abt", 1, total("allocation_btree_compares", "Number of allocation B-tree compares for a filesystem.")],
  [
    "abt",
    2,
    total("allocation_btree_records_inserted", "Number of allocation B-tree records inserted for a filesystem."),
  ],
  [
    "abt",
    3,
    total("allocation_btree_records_deleted", "Number of allocation B-tree records deleted for a filesystem."),
  ],
  ["blk_map", 0, total("block_mapping_reads", "Number of block map for read operations for a filesystem.")],
  ["blk_map", 1, total("block_mapping_writes", "Number of block map for write operations for a filesystem.")],
  ["blk_map", 2, total("block_mapping_unmaps", "Number of block unmaps (deletes) for a filesystem.")],
  ["blk_map", 3, total("block_mapping_extent_list_insertions", "Number of extent list insertions for a filesystem.")],
  ["blk_map", 4, total("block_mapping_extent_list_deletions", "Number of extent list deletions for a filesystem.")],
  ["blk_map", 5, total("block_mapping_extent_list_lookups", "Number of extent list lookups for a filesystem.")],
  ["blk_map", 6, total("block_mapping_extent_list_compares", "Number of extent list compares for a filesystem.")],
  ["bmbt", 0, total("block_map_btree_lookups", "Number of block map B-tree lookups for a filesystem.")],
  ["bmbt", 1, total("block_map_btree_compares", "Number of block map B-tree compares for a filesystem.")],
  [
    "bmbt",
    2,
    total("block_map_btree_records_inserted", "Number of block map B-tree records inserted for a filesystem."),
  ],
  ["bmbt", 3, total("block_map_btree_records_deleted", "Number of block map B-tree records deleted for a filesystem.")],
  [
    "dir",
    0,
    total(
      "directory_operation_lookup",
      "Number of file name directory lookups which miss the operating systems directory name lookup cache.",
    ),
  ],
  [
    "dir",
    1,
    total("directory_operation_create", "Number of times a new directory entry was created for a filesystem."),
  ],
  [
    "dir",
    2,
    total("directory_operation_remove", "Number of times an existing directory entry was created for a filesystem."),
  ],
  [
    "dir",
    3,
    total(
      "directory_operation_getdents",
      "Number of times the directory getdents operation was performed for a filesystem.",
    ),
  ],
  ["ig", 0, total("inode_operation_attempts", "Number of times the OS looked for an XFS inode in the inode cache.")],
  [
    "ig",
    1,
    total("inode_operation_found", "Number of times the OS looked for and found an XFS inode in the inode cache."),
  ],
  [
    "ig",
    2,
    total(
      "inode_operation_recycled",
      "Number of times the OS found an XFS inode in the cache, but could not use it as it was being recycled.",
    ),
  ],
  [
    "ig",
    3,
    total(
      "inode_operation_missed",
      "Number of times the OS looked for an XFS inode in the cache, but did not find it.",
    ),
  ],
  [
    "ig",
    4,
    total(
      "inode_operation_duplicates",
      "Number of times the OS tried to add a missing XFS inode to the inode cache, but found it had already been added by another process.",
    ),
  ],
  [
    "ig",
    5,
    total(
      "inode_operation_reclaims",
      "Number of times the OS reclaimed an XFS inode from the inode cache to free memory for another purpose.",
    ),
  ],
  [
    "ig",
    6,
    total(
      "inode_operation_attribute_changes",
      "Number of times the OS explicitly changed the attributes of an XFS inode.",
    ),
  ],
  ["rw", 1, total("read_calls", "Number of read(2) system calls made to files in a filesystem.")],
  ["rw", 0, total("write_calls", "Number of write(2) system calls made to files in a filesystem.")],
  ["vnodes", 0, total("vnode_active", "Number of vnodes not on free lists for a filesystem.")],
  ["vnodes", 1, total("vnode_allocate", "Number of times vn_alloc called for a filesystem.")],
  ["vnodes", 2, total("vnode_get", "Number of times vn_get called for a filesystem.")],
  ["vnodes", 3, total("vnode_hold", "Number of times vn_hold called for a filesystem.")],
  ["vnodes", 4, total("vnode_release", "Number of times vn_rele called for a filesystem.")],
  ["vnodes", 5, total("vnode_reclaim", "Number of times vn_reclaim called for a filesystem.")],
  ["vnodes", 6, total("vnode_remove", "Number of times vn_remove called for a filesystem.")],
] as const;

export const xfs: CollectorDefinition = {
  name: "xfs",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("fs/xfs");
        for (const device of listMatching(root, /./)) {
          const path = `${root}/${device}/stats/stats`;
          // The folder "stats" beside the devices holds the sums over all of them.
          if (!exists(path)) continue;
          const lines = new Map<string, number[]>();
          for (const line of readLines(path)) {
            const [kind = "", ...values] = words(line);
            if (VALUES.some(([name]) => name === kind)) lines.set(kind, values.map(parseNumber));
          }
          for (const [kind, index, metric] of VALUES) page.add(metric, lines.get(kind)?.[index] ?? 0, device);
        }
      },
    };
  },
};
