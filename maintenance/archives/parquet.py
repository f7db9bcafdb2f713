"""The archive format Parquet: can be queried by other tools, and returns the same COPY text."""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from maintenance.archives.arrow import codec_of, escape, pa, pc, to_arrow, unescape
from maintenance.archives.checksum import DAMAGE_HINT
from maintenance.archives.manifest import Column
from maintenance.archives.objects import Folder, Write
from maintenance.errors import ArchiveError, DamagedArchiveError

pq: Any = import_module("pyarrow.parquet")

ROW_GROUP_BYTES = 4 * 2**20
"""Size of COPY text per row group; one group is in memory at a time, in several copies."""
BATCH_ROWS = 8_192


class ParquetEncoder:
    """Writes COPY text to one Parquet file, row group by row group."""

    compression = "zstd"

    def __init__(self, columns: Sequence[Column], charset: str, write: Write) -> None:
        if charset != "UTF8":
            raise ArchiveError(
                f"Parquet stores UTF-8 text, but the database's encoding is {charset}",
                hint="archive this table with format: copy",
            )
        self._columns = _stored(columns)
        self._codecs = [codec_of(column) for column in self._columns]
        self._pending = bytearray()
        self._schema = pa.schema(
            [
                pa.field(column.name, codec.type, nullable=not column.not_null)
                for column, codec in zip(self._columns, self._codecs, strict=True)
            ]
        )
        self._sink = _Sink(write)
        where = pa.PythonFile(self._sink, mode="w")
        self._file = pq.ParquetWriter(where, self._schema, compression=self.compression)

    def take(self, text: bytes) -> None:
        """Buffer one piece, and write a row group when it is full."""
        self._pending += text
        if len(self._pending) >= ROW_GROUP_BYTES:
            self._write_group(self._pending.rfind(b"\n") + 1)

    def finish(self) -> None:
        """Store the rest, and the file's footer."""
        if self._pending:
            self._write_group(len(self._pending))
        self._file.close()

    def abandon(self) -> None:
        """Close Arrow's file without writing its footer."""
        self._sink.abandoned = True
        with suppress(pa.ArrowException):
            self._file.close()

    def _write_group(self, end: int) -> None:
        text = self._pending[:end].decode()
        del self._pending[:end]
        lines = pc.split_pattern(pa.array([text.removesuffix("\n")]), "\n").flatten()
        fields = pc.split_pattern(lines, "\t")
        arrays = [
            to_arrow(column, codec, unescape(pc.list_element(fields, place)))
            for place, (column, codec) in enumerate(zip(self._columns, self._codecs, strict=True))
        ]
        self._file.write_table(pa.table(arrays, schema=self._schema))


def read_texts(folder: Folder, name: str, columns: Sequence[Column]) -> Iterator[bytes]:
    """Yield the COPY text of a Parquet file in pieces.

    Raises:
        DamagedArchiveError: it is not a Parquet file, or has other columns.
    """
    stored = _stored(columns)
    codecs = [codec_of(column) for column in stored]
    with folder.open(name) as source:
        try:
            file = pq.ParquetFile(source)
            for batch in file.iter_batches(BATCH_ROWS, columns=[c.name for c in stored]):
                fields = [
                    escape(codec.render(array))
                    for codec, array in zip(codecs, batch.columns, strict=True)
                ]
                lines = pc.binary_join_element_wise(*fields, "\t")
                yield "\n".join([*lines.to_pylist(), ""]).encode()
        except (pa.ArrowException, ValueError) as exc:
            raise DamagedArchiveError(
                f"archive {folder.place}: {name}: {exc}", hint=DAMAGE_HINT
            ) from exc


def _stored(columns: Sequence[Column]) -> list[Column]:
    stored = [column for column in columns if column.generated is None]
    if not stored:
        raise ArchiveError("a table without columns can't be stored as Parquet")
    return stored


class _Sink(io.RawIOBase):
    """The file that Arrow writes to, append-only."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self.abandoned = False
        self._write = write
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        piece = bytes(data)
        if not self.abandoned:
            self._write(piece)
        self._position += len(piece)
        return len(piece)
