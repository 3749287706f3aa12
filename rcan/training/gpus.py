"""Which of a machine's GPUs a training takes: DVC's queue tells its workers none."""

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rcan.errors import UserError
from rcan.files import exclusive


@contextmanager
def free_gpu(root: Path, count: int) -> Iterator[int]:
    """The first of the `count` visible GPUs that no other training of the project at `root` holds,
    by its index, held while the block runs; if all are held, 0, which is then shared unheld.

    A training on several GPUs holds none.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
    with ExitStack() as held:
        for index, name in enumerate(named.split(",")[:count]):
            lock = (
                root / ".rcan" / "gpu" / f"{platform.node()}-{name.strip().replace('/', '_')}.lock"
            )
            try:
                held.enter_context(exclusive(lock, "training on this GPU"))
            except UserError:
                continue
            yield index
            return
        yield 0
