"""The address engine as users meet it: built from a gazetteer, saved, loaded lazily, served."""
