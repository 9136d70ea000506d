"""What a worker process of a local run does: wait for work, then be Beam's worker.

`worker_processes.py` starts it, and writes one line to its standard input when Beam
wants a worker. The input's end means that the main process is gone: then it ends too,
at once, and leaves no shard half-written under its name.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import threading

from segdata.pipelines.quiet import quiet_import

with quiet_import():
    from apache_beam.runners.worker import sdk_worker_main

    # What its steps will need, as long as it is waiting anyway.
    import segdata.building.shard
    import segdata.pipelines.shards  # noqa: F401


def main() -> None:
    """Waits for the line, then works until Beam has nothing more to do."""
    line = sys.stdin.buffer.readline()
    if not line:
        return
    task = json.loads(line)
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr, force=True)
    level = logging.INFO if task["is_verbose"] else logging.CRITICAL
    logging.getLogger("apache_beam").setLevel(level)
    threading.Thread(target=_end_with_main_process, daemon=True).start()
    os.environ.update(task["environment"])
    # Half a million objects that stay: not to be looked through over and over.
    gc.freeze()
    sdk_worker_main.main([])


def _end_with_main_process() -> None:
    # Not `sys.stdin`: its lock would be held when the interpreter ends.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
