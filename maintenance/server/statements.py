"""Types of SQL statements in a transaction on another owner's table.

Such a transaction runs its statements with that owner's rights; see `owner_rights`. Statements that
are not a plain `str` are treated differently.
"""


class Ours(str):
    """A statement that runs no code of an owner, and so runs with our own rights.

    It reads the catalog, takes locks or changes settings, and every name in it is qualified.
    """

    __slots__ = ()


class Asked(str):
    """A query whose rows are returned; its columns have names."""

    __slots__ = ()
