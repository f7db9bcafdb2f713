"""Archives of partitions: write, verify by reading back, restore."""

from maintenance.archives.checksum import Digest
from maintenance.archives.copy_stream import content_digest
from maintenance.archives.filesystem import require_packages
from maintenance.archives.location import ArchivePlace
from maintenance.archives.manifest import Manifest
from maintenance.archives.models import TableId
from maintenance.archives.read import list_archives, read_manifest, verify_archive
from maintenance.archives.write import Archived, Facts, write_archive

__all__ = [
    "ArchivePlace",
    "Archived",
    "Digest",
    "Facts",
    "Manifest",
    "TableId",
    "content_digest",
    "list_archives",
    "read_manifest",
    "require_packages",
    "verify_archive",
    "write_archive",
]
