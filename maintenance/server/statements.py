"""Statements of a transaction as text, with what sets some apart.

A transaction on a table of another owner runs its statements with that owner's rights; see
`owner_rights`. Those that are no plain `str` say what else is to be known of them.
"""


class Ours(str):
    """A statement that runs no code of an owner: it runs as ourselves, wherever it stands.

    It reads the catalog, takes locks or changes settings, and every name in it is qualified.
    """

    __slots__ = ()


class Asked(str):
    """A query whose rows are wanted; its columns have names."""

    __slots__ = ()
