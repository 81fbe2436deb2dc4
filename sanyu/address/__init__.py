"""The address engine as used by applications: built from a gazetteer, saved, lazily loaded, served."""
