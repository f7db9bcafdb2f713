"""The JSON schema of a policy file, for editors."""

from typing import Any

from maintenance.policy.models import Policy


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a policy file."""
    schema = Policy.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
