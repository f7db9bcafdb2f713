"""Judge the findings of one run by what is true of a schema."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity
from tests.advice_corpus.experiment import Connection, Experiment, Service, run
from tests.advice_corpus.models import Schema

MAX_ABOVE_INFO = 9
MIN_BYTES = 2**20
"""Advice on a smaller index is info."""

SUPERFLUOUS = {FindingKind.INDEX_DUPLICATE, FindingKind.INDEX_REDUNDANT}
OF_USE = {FindingKind.INDEX_UNUSED, FindingKind.INDEX_LOW_CARDINALITY}


@dataclass(frozen=True)
class Index:
    """What the catalog and the counters say of an index.

    Attributes:
        scans: during the workload, with those of its partitions.
        is_bound: whether it is unique, of a constraint, clustered on, or a replica identity.
        is_leaf: whether it belongs to an index of the partitioned table.
        keys: foreign keys of the table with its first column.
    """

    name: str
    bytes: int
    scans: int
    is_bound: bool
    is_leaf: bool
    is_valid: bool
    keys: Sequence[str] = ()


_INDEXES = """
SELECT i.indexrelid::regclass::text,
       coalesce((SELECT sum(pg_relation_size(p.relid))
                 FROM pg_partition_tree(i.indexrelid) AS p),
                pg_relation_size(i.indexrelid))::bigint,
       coalesce((SELECT sum(pg_stat_get_numscans(p.relid))
                 FROM pg_partition_tree(i.indexrelid) AS p),
                pg_stat_get_numscans(i.indexrelid))::bigint,
       i.indisunique OR i.indisclustered OR i.indisreplident OR i.indisexclusion
         OR EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid),
       c.relispartition, i.indisvalid,
       array(SELECT k.conname::text FROM pg_constraint AS k
             WHERE k.contype = 'f' AND k.conrelid = i.indrelid AND i.indkey[0] = ANY (k.conkey))
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace
"""


def read_indexes(connection: Connection) -> dict[str, Index]:
    """Return the indexes by name."""
    return {name: Index(name, *row) for name, *row in run(connection, _INDEXES)}


def local(name: str) -> str:
    """Return a name without the schema `public`, as regclass shows it."""
    return name.removeprefix("public.")


def bare(name: str) -> str:
    """Return a name without schema and quotes, as the truth of a schema has it."""
    return local(name).replace('"', "")


def above_info(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that ask for somebody."""
    return [finding for finding in findings if finding.severity is not Severity.INFO]


def drops_of(findings: Iterable[Finding]) -> dict[str, str]:
    """Return the advised drops by index."""
    return {local(f.object): f.data["drop"] for f in findings if f.data.get("drop")}


def restores_of(findings: Iterable[Finding]) -> dict[str, Sequence[str]]:
    """Return how each dropped index is built again."""
    return {local(f.object): f.data.get("restore") or () for f in findings if f.data.get("drop")}


class ToldKey(NamedTuple):
    """A foreign key that is told as unindexed.

    Attributes:
        is_loud: whether it is told above info.
        is_searched: whether a skip scan of another index finds its rows.
        create: the statements that create an index.
    """

    name: str
    is_loud: bool
    is_searched: bool
    create: Sequence[str]


def told_keys(findings: Iterable[Finding]) -> list[ToldKey]:
    """Return the foreign keys that are told as unindexed, as `table.constraint`."""
    facts = (
        fact
        for finding in findings
        if finding.kind is FindingKind.FK_UNINDEXED
        for fact in finding.data["foreign_keys"]
    )
    return [
        ToldKey(
            f"{bare(fact['table'])}.{fact['constraint']}",
            fact["severity"] != Severity.INFO,
            fact["searches"] is not None,
            fact["create"],
        )
        for fact in facts
    ]


def creates_of(findings: Iterable[Finding]) -> dict[str, Sequence[str]]:
    """Return the statements that create an index for each foreign key that lacks one."""
    return {key.name: key.create for key in told_keys(findings) if not key.is_searched}


# What may not be


def contradictions(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield where two findings say what can't both be done."""
    told = [f for f in findings if f.data.get("drop")]
    dropped = [local(f.object) for f in told]
    for finding in told:
        other = local(finding.data.get("covered_by") or "")
        if other in dropped:
            yield f"{finding.object} goes because of {other}, which goes too"
    for name in {name for name in dropped if dropped.count(name) > 1}:
        yield f"{name} is told to be dropped twice"
    for finding in findings:
        if finding.kind is FindingKind.INDEX_BLOAT and local(finding.object) in dropped:
            yield f"{finding.object} is told to be rebuilt and to be dropped"


def false_verdicts(
    schema: Schema,
    findings: Sequence[Finding],
    indexes: Mapping[str, Index],
    experiment: Experiment,
) -> Iterator[str]:
    """Yield what the catalog, the counters or the foreign keys say is untrue."""
    for finding in findings:
        index = indexes.get(local(finding.object))
        kind = finding.kind.value
        if finding.kind in SUPERFLUOUS and bare(finding.object) in schema.kept:
            yield f"{finding.object} is told as {kind}, and nothing else does its work"
        if finding.kind in OF_USE and index is not None and index.scans:
            yield f"{finding.object} is told as {kind} after {index.scans} scans"
        if finding.kind in OF_USE and index is not None and index.is_bound:
            yield f"{finding.object} is told as {kind}, and enforces or orders something"
        if finding.kind is FindingKind.INDEX_INVALID and bare(finding.object) not in schema.invalid:
            yield f"{finding.object} is told as {kind} and is valid"
    for key in told_keys(findings):
        if experiment.service(key.name) is Service.FULL:
            yield f"{key.name} is told as unindexed, and an index finds its rows"


# What must be


def missed(schema: Schema, findings: Sequence[Finding], *, is_first: bool = False) -> Iterator[str]:
    """Yield what is true and was not told."""
    told = {bare(f.object) for f in findings if f.data.get("drop")}
    for name in sorted((schema.superfluous | schema.invalid) - told):
        yield f"{name} is not told"
    for pair in schema.twins + (() if is_first else schema.pairs):
        if not pair & told:
            yield f"of {sorted(pair)} none is told"
    loud = {key.name for key in told_keys(findings) if key.is_loud}
    for key in sorted(schema.unindexed - loud):
        yield f"foreign key {key} is not told"


def missed_unused(findings: Sequence[Finding], indexes: Mapping[str, Index]) -> Iterator[str]:
    """Yield the large indexes that nothing used, nothing needs, and nobody told."""
    told = {local(f.object) for f in findings if f.data.get("drop")}
    stays_for_others = {local(f.data.get("covered_by") or "") for f in findings}
    staying = [index for index in indexes.values() if index.is_valid and index.name not in told]
    for index in staying:
        if _is_unused(index) and index.name not in stays_for_others:
            others = {key for each in staying if each is not index for key in each.keys}
            if others.issuperset(index.keys):
                yield f"{index.name} is not told, and nothing used it"


def _is_unused(index: Index) -> bool:
    return not (index.scans or index.is_bound or index.is_leaf) and index.bytes >= MIN_BYTES


# How loud it may be


def noise(
    schema: Schema,
    findings: Sequence[Finding],
    indexes: Mapping[str, Index],
    expected: Collection[FindingKind],
) -> Iterator[str]:
    """Yield what is said too loudly."""
    loud = above_info(findings)
    if len(loud) > MAX_ABOVE_INFO:
        yield f"{len(loud)} findings above info"
    for finding in loud:
        index = indexes.get(local(finding.object))
        is_advice = finding.kind in SUPERFLUOUS | OF_USE
        if is_advice and index is not None and index.bytes < MIN_BYTES:
            yield f"{finding.object} is {finding.severity}, and has {index.bytes} bytes"
        if finding.kind not in expected:
            yield f"{finding.kind.value} of {finding.object}: {finding.message}"
    for key in told_keys(findings):
        if key.is_loud and key.name not in schema.unindexed:
            yield f"foreign key {key.name} is told above info"
