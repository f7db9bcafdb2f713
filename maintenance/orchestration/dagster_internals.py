"""The names that Dagster does not export and that nothing public stands for, in one place.

`UnresolvedAssetJobDefinition` is what `define_asset_job` returns; functions of ours that return
such a job need its type. `WILL_RETRY_TAG` is the tag by which Dagster marks a failed run that it
will try again; no public property of a run tells that.
"""

from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import WILL_RETRY_TAG

__all__ = ["WILL_RETRY_TAG", "UnresolvedAssetJobDefinition"]
