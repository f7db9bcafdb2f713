"""Loading of modules: half of a short process."""

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Generator[None]:
    """Load modules in a block without the collector of reference cycles, which took a fifth of it.

    Modules stay, so the collector does not look at them afterwards either.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
