"""A limit on what a service may cost: seconds at most, one line at most, and never an exception."""

import re
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Guard:
    """Runs actions against one service until the first fails; from then on it runs none."""

    def __init__(self, service: str, otherwise: str):
        """Name the `service`, and say what happens `otherwise`, for the one line on failure."""
        self.service = service
        self.otherwise = otherwise
        self.open = True

    def __call__(self, action: Callable[[], T], seconds: float) -> T | None:
        """`action()`, or None when it fails, lasts longer than `seconds`, or an earlier one did.

        It runs in a thread of its own, since nothing else can leave a call that waits on a lock, a
        name server or a socket. One that is given up is left to end by itself.
        """
        if not self.open:
            return None
        result: list[T] = []
        error: list[Exception] = []

        def work() -> None:
            try:
                result.append(action())
            except Exception as problem:
                error.append(problem)

        thread = threading.Thread(target=work, daemon=True)
        with warnings.catch_warnings():  # the service's own deprecations are not the user's
            warnings.simplefilter("ignore")
            thread.start()
            thread.join(seconds)
        if result:
            return result[0]
        self.close(error[0] if error else TimeoutError(f"no answer within {seconds:.0f} s"))
        return None

    def close(self, problem: Exception) -> None:
        """Print the one line, and run nothing from now on."""
        self.open = False
        first_line = str(problem).strip().partition("\n")[0] or type(problem).__name__
        reason = textwrap.shorten(first_line, 160, placeholder=" ...").rstrip(".")
        line = f"{self.service}: {reason}. {self.otherwise}"
        print(re.sub(r"//[^/@\s]*@", "//", line), file=sys.stderr)  # no password in a log
