"""`python -m cli`: the command line if the program `sanyu` is not on the path."""

from cli import program

program()
