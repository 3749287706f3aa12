"""The `rcan` command, a file a group of commands. Heavy imports wait until a command runs."""

from rcan.cli.app import main

__all__ = ["main"]
