"""Values of settings that are no amount: -1 and 0 where they mean off, none or automatic. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

_OFF = frozenset(
    {
        ("archive_timeout", "0"),
        ("autovacuum_vacuum_insert_threshold", "-1"),
        ("backend_flush_after", "0"),
        ("bgwriter_flush_after", "0"),
        ("bgwriter_lru_maxpages", "0"),
        ("checkpoint_flush_after", "0"),
        ("checkpoint_warning", "0"),
        ("client_connection_check_interval", "0"),
        ("commit_delay", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("idle_replication_slot_timeout", "0"),
        ("idle_session_timeout", "0"),
        ("lock_timeout", "0"),
        ("log_autovacuum_min_duration", "-1"),
        ("log_min_duration_sample", "-1"),
        ("log_min_duration_statement", "-1"),
        ("log_parameter_max_length", "0"),
        ("log_parameter_max_length_on_error", "0"),
        ("log_rotation_age", "0"),
        ("log_rotation_size", "0"),
        ("log_startup_progress_interval", "0"),
        ("log_temp_files", "-1"),
        ("old_snapshot_threshold", "-1"),
        ("statement_timeout", "0"),
        ("transaction_timeout", "0"),
        ("vacuum_cost_delay", "0"),
        ("autovacuum_vacuum_cost_delay", "0"),
        ("wal_receiver_status_interval", "0"),
        ("wal_receiver_timeout", "0"),
        ("wal_sender_timeout", "0"),
        ("wal_writer_flush_after", "0"),
    }
)
_OTHERS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("autovacuum_vacuum_cost_delay", "-1"): "as vacuum_cost_delay",
        ("autovacuum_vacuum_cost_limit", "-1"): "as vacuum_cost_limit",
        ("autovacuum_work_mem", "-1"): "as maintenance_work_mem",
        ("log_autovacuum_min_duration", "0"): "all",
        ("log_min_duration_sample", "0"): "all",
        ("log_min_duration_statement", "0"): "all",
        ("log_parameter_max_length", "-1"): "in full",
        ("log_parameter_max_length_on_error", "-1"): "in full",
        ("log_temp_files", "0"): "all",
        ("max_slot_wal_keep_size", "-1"): "no limit",
        ("max_standby_archive_delay", "-1"): "no limit",
        ("max_standby_streaming_delay", "-1"): "no limit",
        ("tcp_keepalives_count", "0"): "as the system",
        ("tcp_keepalives_idle", "0"): "as the system",
        ("tcp_keepalives_interval", "0"): "as the system",
        ("tcp_user_timeout", "0"): "as the system",
        ("temp_file_limit", "-1"): "no limit",
        ("wal_buffers", "-1"): "automatic",
        ("wal_keep_size", "0"): "none",
    }
)


def meaning(name: str, value: str) -> str | None:
    """Return what a value of a setting means if it is no amount; None if it is one.

    Args:
        name: of the setting, in lower case.
        value: as pg_settings has it, without a unit.
    """
    if (name, value) in _OFF:
        return "off"
    return _OTHERS.get((name, value))
