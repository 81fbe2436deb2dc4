"""The demo city and its score: a generated city whose truth is known, to see what the lakehouse makes of it."""
