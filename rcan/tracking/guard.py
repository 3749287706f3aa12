"""A limit on what a service may cost: no waiting before the end, one line, never an exception."""

import _thread
import contextlib
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
        self._done: threading.Event | None = None  # set once the thread at work has ended

    def send(self, action: Callable[P, object], *arguments: P.args, **settings: P.kwargs) -> None:
        """Have `action(...)` done after all that was sent before; this comes back at once."""
        if not self.open:
            return
        self._actions.put(lambda: action(*arguments, **settings))
        if self._done is None:
            self._done = threading.Event()
            try:
                # Nobody waits for it: not the end of the program, though a call hangs in it, nor
                # its start, for which `threading.Thread` waits for ever where memory is lacking.
                _thread.start_new_thread(self._work, (self._done,))
            except RuntimeError as problem:  # the system gives no more threads
                self._done = None
                self.close(problem)

    def finish(self, seconds: float) -> bool:
        """Wait until all that was sent is done, `seconds` at most; tell whether it is."""
        if self._done is not None:
            self._actions.put(None)
            if not self._done.wait(seconds):
                self.close(TimeoutError(f"no answer within {seconds:.0f} s"))
            self._done = None
        return self.open

    def close(self, problem: Exception) -> None:
        """Print the one line, and do nothing from now on."""
        if not self.open:
            return
        self.open = False
        first_line = str(problem).strip().partition("\n")[0] or type(problem).__name__
        reason = textwrap.shorten(first_line, 160, placeholder=" ...").rstrip(".")
        line = f"{self.service}: {reason}. {self.otherwise}"
        print(without_password(line), file=sys.stderr)

    def _work(self, done: threading.Event) -> None:
        try:
            for action in iter(self._actions.get, None):
                if self.open:
                    action()
        except Exception as problem:
            with contextlib.suppress(Exception):  # memory is lacking for the line on it
                self.close(problem)
        finally:  # somebody waits
            done.set()


class AtOnce(Guard):
    """Does what it is sent at once, and lets it raise: for a work that is nothing without it."""

    def send(self, action: Callable[P, object], *arguments: P.args, **settings: P.kwargs) -> None:
        """Do `action(...)`."""
        action(*arguments, **settings)

    def close(self, problem: Exception) -> None:
        """Raise what the service failed with."""
        raise problem


def without_password(text: str) -> str:
    """A text with addresses in it, fit for a log."""
    return re.sub(r"//[^/@\s]*@", "//", text)
