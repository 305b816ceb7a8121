"""A process that serves another ends with it: no orphan keeps a port or a lock when `serve` is
killed without a chance to tell.
"""

import os
import threading
import time
from collections.abc import Callable

_LOOK_SECONDS = 0.5


def when_parent_ends(parent: int, act: Callable[[], None]) -> None:
    """Call `act` once, in a thread, when the process id `parent` is not our parent any more."""

    def watch() -> None:
        # Looked for rather than waited for: not every system tells a child of its parent's death.
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        act()

    threading.Thread(target=watch, name="parent", daemon=True).start()
