"""Opens archive stores by their fsspec url, and checks that the needed package is installed."""

import sys
from importlib.util import find_spec
from typing import Any

from maintenance.archives.location import shown
from maintenance.errors import UsageError

_EXTRAS = {
    "adlfs": "maintenance[azure]",
    "gcsfs": "maintenance[gcs]",
    "pyarrow": "maintenance[parquet]",
    "s3fs": "maintenance[s3]",
}
"""Packages that an extra of this software installs."""

_S3 = ("s3", "s3a")
_S3_LIMITS = {"connect_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 2}}
"""Timeout per attempt; s3fs makes five, so an unreachable store fails within minutes."""


def open_store(url: str) -> tuple[Any, str]:
    """Return the file system of a url, and the url's path in it; some connect here.

    Raises:
        Exception: any error of the store's driver.
    """
    from fsspec.config import conf  # noqa: PLC0415 - a tenth of a second, needed late or never
    from fsspec.core import url_to_fs  # noqa: PLC0415 # pyright: ignore[reportUnknownVariableType]
    from fsspec.utils import get_protocol  # noqa: PLC0415

    options: dict[str, Any] = {}
    protocol = get_protocol(url)
    if protocol in _S3 and "config_kwargs" not in conf.get(protocol, {}):
        options["config_kwargs"] = _S3_LIMITS
    opened: tuple[Any, str] = url_to_fs(url, **options)  # pyright: ignore[reportUnknownVariableType]
    return opened


def lacks_credentials(error: Exception) -> bool:
    """Whether a store was not asked, because there is nothing to sign a request with."""
    drivers = sys.modules.get("botocore.exceptions")  # else no driver of S3 raised it
    return drivers is not None and isinstance(error, drivers.NoCredentialsError)


def is_local(fs: Any) -> bool:
    """Whether a file system is local to this machine."""
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415 - see above

    return isinstance(fs, LocalFileSystem)


def require_packages(what: str, url: str, format_: str) -> None:
    """Raise if the store or format of an archive needs a package that is not installed.

    No connection is opened.

    Args:
        what: the table of the archives, for the message.
        url: of the archives; may be a chained url of fsspec.
        format_: `copy` or `parquet`.

    Raises:
        UsageError: with the package, and how to install it.
    """
    from fsspec.registry import known_implementations  # noqa: PLC0415 - see above
    from fsspec.utils import get_protocol  # noqa: PLC0415

    for part in url.split("::"):
        protocol = get_protocol(part)
        if protocol not in known_implementations:
            raise UsageError(
                f"{what}: archive url {shown(url)}: fsspec does not support protocol {protocol}",
                hint="use a url such as s3://bucket/folder, or a path",
            )
        _require_driver(f"{what}: archive url {shown(url)}", protocol)
    if format_ == "parquet" and find_spec("pyarrow") is None:
        raise _missing(f"{what}: archive format parquet", "pyarrow")


def _require_driver(what: str, protocol: str) -> None:
    from fsspec.registry import (  # noqa: PLC0415 - see above
        get_filesystem_class,  # pyright: ignore[reportUnknownVariableType]
        known_implementations,
    )

    package = known_implementations[protocol]["class"].partition(".")[0]
    if package != "fsspec":
        if find_spec(package) is None:
            raise _missing(what, package)
        return
    try:
        get_filesystem_class(protocol)
    except ImportError as exc:
        raise UsageError(
            f"{what}: needs a package that is not installed: {exc}", hint="install that package"
        ) from exc


def _missing(what: str, package: str) -> UsageError:
    return UsageError(
        f"{what} needs the package {package}, which is not installed",
        hint=f"install {_EXTRAS.get(package, package)}",
    )
