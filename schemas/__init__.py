"""Table contracts, the field dictionary, code lists, source definitions and messages. Imports no engine."""
