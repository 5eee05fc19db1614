"""What tables are made of: the schema they belong to, names of constraints, usual columns."""

from typing import Any, Final

from sqlalchemy import JSON, Column, Index, MetaData, String, text

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

ID: Final = String(40)
NAME: Final = String(64)
SHA256: Final = String(64)


def tags() -> Column[Any]:
    """A JSON object of strings, empty by default."""
    return Column("tags", JSON(none_as_null=True), nullable=False, server_default="{}")


def json(name: str, *, nullable: bool = False) -> Column[Any]:
    """A column of JSON, whose None is NULL."""
    return Column(name, JSON(none_as_null=True), nullable=nullable)


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows that the condition picks."""
    picks = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=picks, postgresql_where=picks)
