"""Contracts of the thematic data: what the city's offices register and count."""
