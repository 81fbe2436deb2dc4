"""Contracts of the basemap: what the surveyor and the mapper deliver."""
