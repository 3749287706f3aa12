"""Errors that name no patient."""

from rcan.errors import UserError


class NamesNobodyError(UserError):
    """A message of file names, line numbers and fixed words: it may be shown anywhere."""
