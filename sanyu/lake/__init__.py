"""The lake: the only code that touches Delta, the object store and files."""
