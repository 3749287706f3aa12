"""The one error a user is meant to read."""

MOST_SAID = 1_200  # characters of a message
MOST_SHOWN = 80  # characters of a value that was not expected


class UserError(ValueError):
    """Bad input, told in one line: what was expected, what came, what to do next."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class NamesNobodyError(UserError):
    """A message of file names, line numbers and fixed words: restricted data, too, may show it."""


def reason_of(error: Exception) -> str:
    """Why a file cannot be read, without its name or a number: the message begins with the name."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def one_line(message: str) -> str:
    """What a terminal may be given as one line: neither too long, nor with codes in it."""
    if len(message) > MOST_SAID:  # a path may be long; what came first and the remedy are kept
        message = f"{message[: MOST_SAID // 2]} ... {message[-MOST_SAID // 2 :]}"
    return "".join(map(_printable, message))


def _printable(character: str) -> str:
    """A line break of a file's name is told as `\\n`."""
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def shown(value: object) -> str:
    """A value as a message quotes it: short, however large it is."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        text = f"a {type(value).__name__} too large to print"
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 20]} ... {text[-15:]}"


def name_shown(name: object) -> str:
    """A key or an id as a message quotes it: without quotes while it is a short text."""
    if isinstance(name, str) and len(name) <= MOST_SHOWN:
        return "".join(map(_printable, name))
    return shown(name)
