"""The families of metrics: their names are a promise to dashboards and rules of alerting."""

PREFIX = "maintenance_"

FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "up": ("Whether the server could be looked at.", ()),
    "store_up": ("Whether the history of runs could be read.", ()),
    "verdict": ("Whether to worry: 0 all is well, 1 look today, 2 act now.", ()),
    "alerts_standing": ("Alerts that stand.", ("severity",)),
    "alert_since_timestamp_seconds": (
        "Since when an alert stands; quiet if it is muted or acknowledged.",
        ("severity", "kind", "object", "quiet"),
    ),
    "partitions": ("Partitions of a table.", ("table",)),
    "partitions_ahead": ("Whole periods beyond the current one that exist.", ("table",)),
    "partitions_ahead_wanted": ("Whole periods ahead that the policy asks for.", ("table",)),
    "partitions_expired": ("Partitions that retention may retire.", ("table",)),
    "partitions_heap_bytes": ("Heaps of all partitions, as last analyzed.", ("table",)),
    "partitions_rows": ("Rows of all partitions, as last analyzed.", ("table",)),
    "partitions_covered_until_timestamp_seconds": (
        "From then on a row has no partition, or only the default one.",
        ("table",),
    ),
    "matview_max_age_seconds": ("How old the content of a view may be.", ("view",)),
    "matview_right_until_timestamp_seconds": (
        "Up to when a view is known to show everything.",
        ("view",),
    ),
    "matview_refresh_duration_seconds": ("How long the newest refresh took.", ("view",)),
    "matview_rows": ("Rows of a view after its newest refresh.", ("view",)),
    "stale_rows": ("Computed rows that are older than they may be.", ("table",)),
    "stale_rows_seen_timestamp_seconds": ("When computed rows were last looked at.", ("table",)),
    "runs_last_day": ("Runs that began within 24 hours.", ()),
    "runs_failed_last_day": ("Those of them that failed.", ()),
    "last_run_end_timestamp_seconds": ("When the newest run ended.", ()),
    "last_run_failed": ("Whether the newest run that ended failed.", ()),
    "actions_last_day": ("Actions of runs that began within 24 hours.", ("kind", "outcome")),
    "actions_last_day_seconds": ("How long these actions took.", ("kind", "outcome")),
    "own_statements_last_day_seconds": ("How long our own statements took.", ()),
    "workload_seen_timestamp_seconds": ("When the server's load was last looked at.", ()),
    "connections_ratio": ("Connections used, of those that can be.", ()),
    "wraparound_ratio": ("The age of the oldest transaction id, of what it may reach.", ()),
    "buffer_hit_ratio": ("Blocks found in memory between the newest two looks.", ()),
    "replication_lag_bytes": ("How far the replica that is furthest behind is behind.", ()),
    "database_size_bytes": ("Size of the database.", ()),
    "table_size_bytes": ("The largest tables, with indexes and TOAST.", ("table",)),
    "bloat_seen_timestamp_seconds": ("When bloat was last looked at.", ()),
    "empty_bytes": ("What a rewrite of what was looked at would give back.", ("what",)),
    "cache_keys": ("Keys in the application's cache.", ()),
    "cache_keys_without_ttl": ("Those of them that never expire.", ()),
    "cache_memory_bytes": ("Memory that the cache uses.", ()),
    "cache_hit_ratio": ("Lookups that found their key, between the newest two looks.", ()),
}
"""By name without the prefix: what it is, and its labels after `database`. All are gauges."""
