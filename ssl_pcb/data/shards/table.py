"""What is known of every sample of a set of shards before training: a few bytes each, whatever their number."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ssl_pcb.data.cutting import HASH_BYTES
from ssl_pcb.data.manifest import LABELS, PSEUDO_GROUP, SPLITS
from ssl_pcb.data.shards.facts import Facts
from ssl_pcb.errors import UserError

WORDS = ("", *SPLITS)
"""Splits by their code."""

SCHEMA = pa.schema(
    [("hash", pa.binary(HASH_BYTES)), ("label", pa.int8()), ("split", pa.int8()), ("group", pa.string())]
)


@dataclass(frozen=True)
class Table:
    """Facts about N samples, in the order of their shards.

    Attributes:
        hashes: (N, 16) uint8, first bytes of the SHA-256 of each sample's source image.
        labels: (N,) int8 class indices, -1 for unlabelled.
        splits: (N,) int8 positions in :data:`WORDS`.
        groups: (N,) int32 positions in ``names``.
        names: Names of the boards.
    """

    hashes: NDArray[np.uint8]
    labels: NDArray[np.int8]
    splits: NDArray[np.int8]
    groups: NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, facts: Sequence[Facts]) -> Table:
        """Of the facts of some samples."""
        names = {name: code for code, name in enumerate(dict.fromkeys(fact.group for fact in facts))}
        return cls(
            np.frombuffer(b"".join(fact.hash for fact in facts), np.uint8).reshape(-1, HASH_BYTES),
            np.array([fact.label for fact in facts], np.int8),
            np.array([WORDS.index(fact.split) for fact in facts], np.int8),
            np.array([names[fact.group] for fact in facts], np.int32),
            tuple(names),
        )

    @classmethod
    def joined(cls, tables: Sequence[Table]) -> Table:
        """One table of several, in their order."""
        names: dict[str, int] = {}
        groups = []
        for table in tables:
            codes = [names.setdefault(name, len(names)) for name in table.names]
            groups.append(np.array(codes, np.int32)[table.groups])
        return cls(
            np.concatenate([table.hashes for table in tables]),
            np.concatenate([table.labels for table in tables]),
            np.concatenate([table.splits for table in tables]),
            np.concatenate(groups),
            tuple(names),
        )

    def to_parquet(self) -> bytes:
        """The table as a parquet file."""
        columns = {
            "hash": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(HASH_BYTES), len(self), [None, pa.py_buffer(np.ascontiguousarray(self.hashes))]
            ),
            "label": pa.array(self.labels),
            "split": pa.array(self.splits),
            "group": pa.array(self.names, pa.string()).take(pa.array(self.groups)),
        }
        sink = io.BytesIO()
        pq.write_table(pa.table(columns, schema=SCHEMA), sink)
        return sink.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes, name: str, samples: int) -> Table:
        """The inverse of :meth:`to_parquet`.

        Args:
            data: Contents of the file.
            name: What messages call it.
            samples: Rows that it must have; of a file with others, which might fill the memory, none is unpacked.

        Raises:
            UserError: If it is no such table.
        """
        try:
            rows = pq.read_metadata(io.BytesIO(data)).num_rows
            if rows != samples:
                raise UserError(f"{name}: has {rows:,} rows, the index says {samples:,}; copy both anew")
            table = pq.read_table(io.BytesIO(data), schema=SCHEMA).combine_chunks()
            if any(column.null_count for column in table.columns):
                raise ValueError("empty cells")
            found = cls(
                _bytes(table["hash"]),
                table["label"].to_numpy().astype(np.int8),
                table["split"].to_numpy().astype(np.int8),
                *_coded(table["group"]),
            )
        except (ValueError, OSError, KeyError) as error:  # pyarrow's own errors are of these kinds
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(f"{name}: is no table of samples ({reason}); write the shards anew") from None
        if len(found) and not (
            found.splits.min() >= 0 and found.splits.max() < len(WORDS)
            and found.labels.min() >= -1 and found.labels.max() < len(LABELS)
        ):  # fmt: skip
            raise UserError(f"{name}: holds unknown labels or splits; write the shards anew")
        return found

    @property
    def board_disjoint(self) -> bool:
        """Whether all groups are real boards."""
        return bool(self.names) and not any(name == "" or name.startswith(PSEUDO_GROUP) for name in self.names)

    def learnable(self, *, use_unsplit: bool) -> NDArray[np.bool_]:
        """(N,) which samples may be learned from: split ``train``, and those of :meth:`free` if asked."""
        train = self._of("train")
        return train | self.free() if use_unsplit else train

    def free(self) -> NDArray[np.bool_]:
        """(N,) which samples have neither label nor split, and belong to nothing that is kept apart.

        Not those of a validation or test board, nor copies of an image that is kept apart, as far as the shards
        hold those.
        """
        judged = self._of("val", "test")
        boards = [code for code in np.unique(self.groups[judged]) if self.names[code]]
        known = np.isin(self.groups, boards) | self._copies_of(judged | self._of("holdout"))
        return np.asarray(self._of("") & (self.labels < 0) & ~known)

    def leaked_images(self) -> NDArray[np.bool_]:
        """(N,) which training samples show an image that also stands in a split that is kept apart."""
        return np.asarray(self._of("train") & self._copies_of(self._of("val", "test", "holdout")))

    def leaked_boards(self) -> list[str]:
        """Real boards that are both trained on and judged by."""
        both = np.intersect1d(self.groups[self._of("train")], self.groups[self._of("val", "test")])
        names = [self.names[code] for code in both]
        return sorted(name for name in names if name and not name.startswith(PSEUDO_GROUP))

    def _copies_of(self, some: NDArray[np.bool_]) -> NDArray[np.bool_]:
        images = np.ascontiguousarray(self.hashes[:, :8]).view(np.uint64)[:, 0]  # enough to tell images apart
        return np.isin(images, images[some])

    def _of(self, *splits: str) -> NDArray[np.bool_]:
        return np.isin(self.splits, [WORDS.index(split) for split in splits])


def _bytes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    array = column.combine_chunks()
    start, end = array.offset * HASH_BYTES, (array.offset + len(array)) * HASH_BYTES
    return np.frombuffer(array.buffers()[1], np.uint8)[start:end].reshape(-1, HASH_BYTES)


def _coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    coded = column.combine_chunks().dictionary_encode()
    return coded.indices.to_numpy().astype(np.int32), tuple(coded.dictionary.to_pylist())
