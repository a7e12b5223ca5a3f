"""This room is the command line: it translates words typed into calls, and results into text."""

from envoi.cli.program import main

__all__ = ["main"]
