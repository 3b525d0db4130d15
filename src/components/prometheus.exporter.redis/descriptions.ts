/** Help text and label names: data from redis_exporter's `exporter/exporter.go`. */

type Description = readonly [help: string, ...labelNames: string[]];

/** Of metrics that are not a field of INFO: help, then the names of the labels. Others have the help "NAME metric". */
export const DESCRIPTIONS: ReadonlyMap<string, Description> = new Map<string, Description>([
  ["commands_duration_seconds_total", ["Total amount of time in seconds spent per command", "cmd"]],
  ["commands_failed_calls_total", ["Total number of errors prior command execution per command", "cmd"]],
  ["commands_latencies_usec", ["A histogram of latencies per command", "cmd"]],
  ["commands_rejected_calls_total", ["Total number of errors within command execution per command", "cmd"]],
  ["commands_total", ["Total number of calls per command", "cmd"]],
  ["config_client_output_buffer_limit_bytes", ["The configured buffer limits per class", "class", "limit"]],
  [
    "config_client_output_buffer_limit_overcome_seconds",
    ["How long for buffer limits per class to be exceeded before replicas are dropped", "class", "limit"],
  ],
  ["connected_slave_lag_seconds", ["Lag of connected slave", "slave_ip", "slave_port", "slave_state"]],
  ["connected_slave_offset_bytes", ["Offset of connected slave", "slave_ip", "slave_port", "slave_state"]],
  ["db_avg_ttl_seconds", ["Avg TTL in seconds", "db"]],
  ["db_keys", ["Total number of keys by DB", "db"]],
  ["db_keys_cached", ["Total number of cached keys by DB", "db"]],
  ["db_keys_expiring", ["Total number of expiring keys by DB", "db"]],
  ["errors_total", ["Total number of errors per error type", "err"]],
  ["exporter_last_scrape_error", ["The last scrape error status.", "err"]],
  ["key_group_count", ["Count of keys in key group", "db", "key_group"]],
  ["key_group_memory_usage_bytes", ["Total memory usage of key group in bytes", "db", "key_group"]],
  ["key_memory_usage_bytes", ['The memory usage of "key" in bytes', "db", "key"]],
  ["key_size", ['The length or size of "key"', "db", "key"]],
  ["key_value", ['The value of "key"', "db", "key"]],
  ["key_value_as_string", ['The value of "key" as a string', "db", "key", "val"]],
  ["keys_count", ["Count of keys", "db", "key"]],
  ["last_key_groups_scrape_duration_milliseconds", ["Duration of the last key group metrics scrape in milliseconds"]],
  ["last_slow_execution_duration_seconds", ["The amount of time needed for last slow execution, in seconds"]],
  ["latency_percentiles_usec", ["A summary of latency percentile distribution per command", "cmd"]],
  ["latency_spike_duration_seconds", ["Length of the last latency spike in seconds", "event_name"]],
  ["latency_spike_last", ["When the latency spike last occurred", "event_name"]],
  ["master_last_io_seconds_ago", ["Master last io seconds ago", "master_host", "master_port"]],
  ["master_link_up", ["Master link status on Redis slave", "master_host", "master_port"]],
  ["master_sync_in_progress", ["Master sync in progress", "master_host", "master_port"]],
  ["number_of_distinct_key_groups", ["Number of distinct key groups", "db"]],
  ["script_result", ["Result of the collect script evaluation", "filename"]],
  ["script_values", ["Values returned by the collect script", "key", "filename"]],
  ["sentinel_master_ckquorum_status", ["Master ckquorum status", "master_name", "message"]],
  [
    "sentinel_master_ok_sentinels",
    ["The number of okay sentinels monitoring this master", "master_name", "master_address"],
  ],
  ["sentinel_master_ok_slaves", ["The number of okay slaves of the master", "master_name", "master_address"]],
  ["sentinel_master_sentinels", ["The number of sentinels monitoring this master", "master_name", "master_address"]],
  [
    "sentinel_master_setting_ckquorum",
    ["Show the current ckquorum config for each master", "master_name", "master_address"],
  ],
  [
    "sentinel_master_setting_down_after_milliseconds",
    ["Show the current down-after-milliseconds config for each master", "master_name", "master_address"],
  ],
  [
    "sentinel_master_setting_failover_timeout",
    ["Show the current failover-timeout config for each master", "master_name", "master_address"],
  ],
  [
    "sentinel_master_setting_parallel_syncs",
    ["Show the current parallel-syncs config for each master", "master_name", "master_address"],
  ],
  [
    "sentinel_master_config_epoch",
    ["The configuration epoch of the master (increments on each failover)", "master_name", "master_address"],
  ],
  [
    "sentinel_master_last_ok_ping_reply_seconds",
    ["Elapsed time in seconds since the last successful ping reply from the master", "master_name", "master_address"],
  ],
  ["sentinel_master_slaves", ["The number of slaves of the master", "master_name", "master_address"]],
  ["sentinel_master_status", ["Master status on Sentinel", "master_name", "master_address", "master_status"]],
  ["sentinel_masters", ["The number of masters this sentinel is watching"]],
  ["sentinel_running_scripts", ["Number of scripts in execution right now"]],
  ["sentinel_scripts_queue_length", ["Queue of user scripts to execute"]],
  ["sentinel_simulate_failure_flags", ["Failures simulations"]],
  ["sentinel_tilt", ["Sentinel is in TILT mode"]],
  ["slave_info", ["Information about the Redis slave", "master_host", "master_port", "read_only"]],
  ["slave_repl_offset", ["Slave replication offset", "master_host", "master_port"]],
  ["slowlog_last_id", ["Last id of slowlog"]],
  ["slowlog_length", ["Total slowlog"]],
  ["start_time_seconds", ["Start time of the Redis instance since unix epoch in seconds."]],
  ["stream_first_entry_id", ["The epoch timestamp (ms) of the first message in the stream", "db", "stream"]],
  ["stream_group_consumer_idle_seconds", ["Consumer idle time in seconds", "db", "stream", "group", "consumer"]],
  [
    "stream_group_consumer_messages_pending",
    ["Pending number of messages for this specific consumer", "db", "stream", "group", "consumer"],
  ],
  ["stream_group_consumers", ["Consumers count of stream group", "db", "stream", "group"]],
  ["stream_group_entries_read", ["Total number of entries read from the stream group", "db", "stream", "group"]],
  [
    "stream_group_lag",
    ["The number of messages waiting to be delivered to the stream group's consumers", "db", "stream", "group"],
  ],
  [
    "stream_group_last_delivered_id",
    ["The epoch timestamp (ms) of the last delivered message", "db", "stream", "group"],
  ],
  ["stream_group_messages_pending", ["Pending number of messages in that stream group", "db", "stream", "group"]],
  ["stream_groups", ["Groups count of stream", "db", "stream"]],
  ["stream_last_entry_id", ["The epoch timestamp (ms) of the last message in the stream", "db", "stream"]],
  ["stream_last_generated_id", ["The epoch timestamp (ms) of the latest message on the stream", "db", "stream"]],
  ["stream_length", ["The number of elements of the stream", "db", "stream"]],
  [
    "stream_max_deleted_entry_id",
    ["The epoch timestamp (ms) of last message was deleted from the stream", "db", "stream"],
  ],
  ["stream_radix_tree_keys", ['Radix tree keys count"', "db", "stream"]],
  ["stream_radix_tree_nodes", ["Radix tree nodes count", "db", "stream"]],
  ["up", ["Information about the Redis instance"]],
  // Of clients; connected_client_info has the labels that the server knows.
  ...[
    ...["output_buffer_memory_usage_bytes", "total_memory_consumed_bytes", "created_at_timestamp"],
    ...["idle_since_timestamp", "channel_subscriptions_count", "pattern_matching_subscriptions_count"],
    ...["query_buffer_length_bytes", "query_buffer_free_space_bytes", "output_buffer_length_bytes"],
    ...["output_list_length", "shard_channel_subscriptions_count", "shard_channel_watched_keys"],
  ].map((name): [string, Description] => {
    const full = `connected_client_${name}`;
    return [full, [`${full} metric`, "id", "name"]];
  }),
]);
