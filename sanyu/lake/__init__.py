"""The lake: the only code that touches Delta, the object store and files."""

from sanyu.lake.read import Lake, Table, TableInfo

__all__ = ["Lake", "Table", "TableInfo"]
