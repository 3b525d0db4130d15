import { counter, gauge, type Metric } from "#kits/exporter/page";

/** Labels of what is told of a mount. */
export const MOUNT_LABELS = ["export", "protocol", "mountaddr"];

const total = (name: string, help: string) => counter(`node_mountstats_nfs_${name}_total`, help, ...MOUNT_LABELS);
const value = (name: string, help: string) => gauge(`node_mountstats_nfs_${name}`, help, ...MOUNT_LABELS);

/** The numbers behind `bytes:`. */
export const BYTES: readonly Metric[] = [
  total("read_bytes", "Number of bytes read using the read() syscall."),
  total("write_bytes", "Number of bytes written using the write() syscall."),
  total("direct_read_bytes", "Number of bytes read using the read() syscall in O_DIRECT mode."),
  total("direct_write_bytes", "Number of bytes written using the write() syscall in O_DIRECT mode."),
  total("total_read_bytes", "Number of bytes read from the NFS server, in total."),
  total("total_write_bytes", "Number of bytes written to the NFS server, in total."),
  total("read_pages", "Number of pages read directly via mmap()'d files."),
  total("write_pages", "Number of pages written directly via mmap()'d files."),
];

/** Columns behind `xprt:` and the protocol, as TCP has them. */
export const TRANSPORT: readonly (readonly [metric: Metric, column: number])[] = [
  [
    total(
      "transport_bind",
      "Number of times the client has had to establish a connection from scratch to the NFS server.",
    ),
    1,
  ],
  [total("transport_connect", "Number of times the client has made a TCP connection to the NFS server."), 2],
  [value("transport_idle_time_seconds", "Duration since the NFS mount last saw any RPC traffic, in seconds."), 4],
  [total("transport_sends", "Number of RPC requests for this mount sent to the NFS server."), 5],
  [total("transport_receives", "Number of RPC responses for this mount received from the NFS server."), 6],
  [
    total(
      "transport_bad_transaction_ids",
      "Number of times the NFS server sent a response with a transaction ID unknown to this client.",
    ),
    7,
  ],
  [total("transport_backlog_queue", "Total number of items added to the RPC backlog queue."), 9],
  [value("transport_maximum_rpc_slots", "Maximum number of simultaneously active RPC requests ever used."), 10],
  [total("transport_sending_queue", "Total number of items added to the RPC transmission sending queue."), 11],
  [total("transport_pending_queue", "Total number of items added to the RPC transmission pending queue."), 12],
];

/** The numbers behind `events:`; the one that is not reported is the time spent waiting for congestion. */
export const EVENTS: readonly (Metric | undefined)[] = [
  total("event_inode_revalidate", "Number of times cached inode attributes are re-validated from the server."),
  total("event_dnode_revalidate", "Number of times cached dentry nodes are re-validated from the server."),
  total("event_data_invalidate", "Number of times an inode cache is cleared."),
  total("event_attribute_invalidate", "Number of times cached inode attributes are invalidated."),
  total("event_vfs_open", "Number of times cached inode attributes are invalidated."),
  total("event_vfs_lookup", "Number of times a directory lookup has occurred."),
  total("event_vfs_access", "Number of times permissions have been checked."),
  total("event_vfs_update_page", "Number of updates (and potential writes) to pages."),
  total("event_vfs_read_page", "Number of pages read directly via mmap()'d files."),
  total("event_vfs_read_pages", "Number of times a group of pages have been read."),
  total("event_vfs_write_page", "Number of pages written directly via mmap()'d files."),
  total("event_vfs_write_pages", "Number of times a group of pages have been written."),
  total("event_vfs_getdents", "Number of times directory entries have been read with getdents()."),
  total("event_vfs_setattr", "Number of times directory entries have been read with getdents()."),
  total("event_vfs_flush", "Number of pending writes that have been forcefully flushed to the server."),
  total("event_vfs_fsync", "Number of times fsync() has been called on directories and files."),
  total("event_vfs_lock", "Number of times locking has been attempted on a file."),
  total("event_vfs_file_release", "Number of times files have been closed and released."),
  undefined,
  total("event_truncation", "Number of times files have been truncated."),
  total("event_write_extension", "Number of times a file has been grown due to writes beyond its existing end."),
  total("event_silly_rename", "Number of times a file was removed while still open by another process."),
  total("event_short_read", "Number of times the NFS server gave less data than expected while reading."),
  total("event_short_write", "Number of times the NFS server wrote less data than expected while writing."),
  total(
    "event_jukebox_delay",
    "Number of times the NFS server indicated EJUKEBOX; retrieving data from offline storage.",
  ),
  total("event_pnfs_read", "Number of NFS v4.1+ pNFS reads."),
  total("event_pnfs_write", "Number of NFS v4.1+ pNFS writes."),
];

const operation = (name: string, help: string) =>
  counter(`node_mountstats_nfs_operations_${name}_total`, help, ...MOUNT_LABELS, "operation");

/** Columns of the lines below `per-op statistics`, with what one of them is in the metric's unit. */
export const OPERATIONS: readonly (readonly [metric: Metric, column: number, scale: number])[] = [
  [operation("requests", "Number of requests performed for a given operation."), 0, 1],
  [
    operation("transmissions", "Number of times an actual RPC request has been transmitted for a given operation."),
    1,
    1,
  ],
  [operation("major_timeouts", "Number of times a request has had a major timeout for a given operation."), 2, 1],
  [operation("sent_bytes", "Number of bytes sent for a given operation, including RPC headers and payload."), 3, 1],
  [
    operation("received_bytes", "Number of bytes received for a given operation, including RPC headers and payload."),
    4,
    1,
  ],
  [
    operation(
      "queue_time_seconds",
      "Duration all requests spent queued for transmission for a given operation before they were sent, in seconds.",
    ),
    5,
    1 / 1000,
  ],
  [
    operation(
      "response_time_seconds",
      "Duration all requests took to get a reply back after a request for a given operation was transmitted, in seconds.",
    ),
    6,
    1 / 1000,
  ],
  [
    operation(
      "request_time_seconds",
      "Duration all requests took from when a request was enqueued to when it was completely handled for a given operation, in seconds.",
    ),
    7,
    1 / 1000,
  ],
];
