"""Names of all that a drain makes: they hold the default partition's OID, so any run knows them."""

from dataclasses import dataclass

from maintenance.catalog.trees import Tree
from maintenance.ddl.trees import Blueprint
from maintenance.names import QualifiedName

PREFIX = "maintenance_drain"
CAPTURE = "maintenance_capture"
"""The trigger on each changed row of the default partition."""

TRUNCATION = "maintenance_truncation"
"""The trigger that tells of a TRUNCATE."""

DRAINED = "draining"
"""Mark of the log, which stands as long as anything of a drain does: whose rows are copied."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The names, in the schema of the default partition."""

    schema: str
    oid: int

    @property
    def prefix(self) -> str:
        """What all names begin with."""
        return f"{PREFIX}_{self.oid}_"

    @property
    def plain(self) -> QualifiedName:
        """A partitioned table without indexes that sorts what is copied into its partitions."""
        return self._named("plain")

    @property
    def root(self) -> QualifiedName:
        """A partitioned table that has the parent's indexes, over the finished copies."""
        return self._named("root")

    @property
    def rest(self) -> QualifiedName:
        """The copy of what belongs to no period, to be the next default partition."""
        return self._named("rest")

    @property
    def log(self) -> QualifiedName:
        """Keys of rows that changed and are to be copied again."""
        return self._named("log")

    @property
    def old(self) -> QualifiedName:
        """The default partition, once the copies have taken its place."""
        return self._named("old")

    @property
    def function(self) -> QualifiedName:
        """What the triggers call."""
        return self._named("capture")

    def copy(self, key: str) -> QualifiedName:
        """The copy of one period, until it gets its own name."""
        return self._named(f"copy_{key.replace('-', '_')}")

    def tree(self, model: Tree, root: QualifiedName) -> Blueprint:
        """Name the tables of a tree after its root, which has one of the names above."""
        names = {model.root.oid: root}
        for place, branch in enumerate(model.below, start=1):
            names[branch.oid] = QualifiedName(self.schema, f"{root.name}_p{place}")
        return Blueprint(model, names)

    def _named(self, part: str) -> QualifiedName:
        return QualifiedName(self.schema, self.prefix + part)
