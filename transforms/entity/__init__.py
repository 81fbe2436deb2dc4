"""Entities: the same thing across tiles, sheets and editions, and the identifiers that say so."""
