"""A limit on what a service may cost: no waiting before the end, one line, never an exception."""

import re
import sys
import textwrap
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import ParamSpec

P = ParamSpec("P")


class Guard:
    """Does what one service is sent, in order and in the background, until something fails.

    From then on it does nothing: the one line on that failure says what happens instead.
    """

    def __init__(self, service: str, otherwise: str):
        """Name the `service`, and say what happens `otherwise`."""
        self.service = service
        self.otherwise = otherwise
        self.open = True
        self._actions: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def send(self, action: Callable[P, object], *arguments: P.args, **settings: P.kwargs) -> None:
        """Have `action(...)` done after all that was sent before; this comes back at once."""
        if not self.open:
            return
        self._actions.put(lambda: action(*arguments, **settings))
        if self._thread is None:
            # A daemon: a call that waits on a lock or a socket must not hold up the end either.
            self._thread = threading.Thread(target=self._work, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as problem:  # the system gives no more threads
                self._thread = None
                self.close(problem)

    def finish(self, seconds: float) -> bool:
        """Wait until all that was sent is done, `seconds` at most; tell whether it is."""
        if self._thread is not None:
            self._actions.put(None)
            self._thread.join(seconds)
            if self._thread.is_alive():
                self.close(TimeoutError(f"no answer within {seconds:.0f} s"))
            self._thread = None
        return self.open

    def close(self, problem: Exception) -> None:
        """Print the one line, and do nothing from now on."""
        if not self.open:
            return
        self.open = False
        first_line = str(problem).strip().partition("\n")[0] or type(problem).__name__
        reason = textwrap.shorten(first_line, 160, placeholder=" ...").rstrip(".")
        line = f"{self.service}: {reason}. {self.otherwise}"
        print(re.sub(r"//[^/@\s]*@", "//", line), file=sys.stderr)  # no password in a log

    def _work(self) -> None:
        for action in iter(self._actions.get, None):
            try:
                if self.open:
                    action()
            except Exception as problem:
                self.close(problem)
