"""Space: grid codes, reference systems and keys, as pure functions over NumPy arrays (lon/lat, degrees, x before y)."""
