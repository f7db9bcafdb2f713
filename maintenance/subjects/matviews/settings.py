"""Server settings, and how each of them affects the content of a view.

Conversions to text depend on settings. Settings pinned in our sessions can't differ between two of
our refreshes; all others that can affect the content are part of the fingerprint, with the values
of a new session of this role. Pinned ones are included, because a refresh by another session uses
the configured values.
"""

from collections.abc import Mapping

DECIDED_ONE_BY_ONE = frozenset({"Client Connection Defaults", "Version and Platform Compatibility"})
"""Categories of pg_settings in which each setting has its line in `DECISIONS`."""

RECORDED_AS_A_WHOLE = frozenset({"Query Tuning", "Customized Options"})
"""Categories whose settings are all recorded: the order of rows depends on plans, and the effect
of an extension's settings is unknown."""

IRRELEVANT_AS_A_WHOLE = frozenset(
    {
        "Autovacuum",
        "Connections and Authentication",
        "Developer Options",
        "Error Handling",
        "File Locations",
        "Lock Management",
        "Preset Options",
        "Replication",
        "Reporting and Logging",
        "Resource Usage",
        "Statistics",
        "Vacuuming",
        "Write-Ahead Log",
    }
)
"""Categories that don't affect results, or only after a restart, which changes the epoch."""

CATEGORIES = DECIDED_ONE_BY_ONE | RECORDED_AS_A_WHOLE
"""Categories, up to the slash, whose settings are recorded."""

DECISIONS: Mapping[str, str] = {
    # Locale and Formatting
    "DateStyle": "pinned",
    "IntervalStyle": "pinned",
    "TimeZone": "pinned",
    "client_encoding": "irrelevant",  # pinned; stored data is in the server's encoding
    "default_text_search_config": "recorded",
    "extra_float_digits": "pinned",
    "icu_validation_level": "irrelevant",
    "lc_messages": "irrelevant",
    "lc_monetary": "recorded",
    "lc_numeric": "recorded",
    "lc_time": "recorded",
    "timezone_abbreviations": "pinned",
    # Other Defaults, Shared Library Preloading
    "dynamic_library_path": "recorded",
    "extension_control_path": "irrelevant",
    "gin_fuzzy_search_limit": "pinned",
    "jit_provider": "irrelevant",
    "local_preload_libraries": "recorded",
    "session_preload_libraries": "recorded",
    "shared_preload_libraries": "recorded",
    # Statement Behavior
    "bytea_output": "pinned",
    "check_function_bodies": "irrelevant",
    "client_connection_check_interval": "irrelevant",
    "client_min_messages": "irrelevant",
    "createrole_self_grant": "irrelevant",
    "default_table_access_method": "irrelevant",
    "default_tablespace": "irrelevant",
    "default_toast_compression": "irrelevant",
    "default_transaction_deferrable": "irrelevant",
    "default_transaction_isolation": "irrelevant",
    "default_transaction_read_only": "irrelevant",
    "event_triggers": "irrelevant",
    "gin_pending_list_limit": "irrelevant",
    "idle_in_transaction_session_timeout": "irrelevant",
    "idle_session_timeout": "irrelevant",
    "lock_timeout": "irrelevant",
    "restrict_nonsystem_relation_kind": "irrelevant",
    "row_security": "recorded",
    "search_path": "irrelevant",  # pinned; a stored query holds resolved names
    "session_replication_role": "recorded",
    "statement_timeout": "irrelevant",
    "temp_tablespaces": "irrelevant",
    "transaction_deferrable": "irrelevant",
    "transaction_isolation": "irrelevant",
    "transaction_read_only": "irrelevant",
    "transaction_timeout": "irrelevant",
    "vacuum_cleanup_index_scale_factor": "irrelevant",
    "vacuum_freeze_min_age": "irrelevant",
    "vacuum_freeze_table_age": "irrelevant",
    "vacuum_failsafe_age": "irrelevant",
    "vacuum_multixact_freeze_min_age": "irrelevant",
    "vacuum_multixact_freeze_table_age": "irrelevant",
    "vacuum_multixact_failsafe_age": "irrelevant",
    "xmlbinary": "pinned",
    "xmloption": "pinned",
    # Version and Platform Compatibility
    "allow_alter_system": "irrelevant",
    "array_nulls": "pinned",
    "backslash_quote": "irrelevant",  # used when a query is parsed, not when it is run
    "escape_string_warning": "irrelevant",
    "lo_compat_privileges": "irrelevant",
    "quote_all_identifiers": "pinned",
    "standard_conforming_strings": "pinned",
    "synchronize_seqscans": "recorded",
    "transform_null_equals": "pinned",
}
"""The decision on each setting of `DECIDED_ONE_BY_ONE`: pinned, recorded or irrelevant."""

IRRELEVANT = frozenset(name for name, decision in DECISIONS.items() if decision == "irrelevant")
"""Settings that affect no result."""
