"""The one error a user is meant to read."""


class UserError(ValueError):
    """Bad input, told in one line: what was expected, what came, what to do next."""
