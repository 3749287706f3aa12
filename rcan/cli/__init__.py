"""The `rcan` command: a file a group of commands. Nothing heavy is imported until a command runs."""

from rcan.cli.app import main

__all__ = ["main"]
