"""Apache Beam: wiring only, the logic lives in `segdata`.

May import `building`, `checking`, `statistics` and what comes before them.
Start at `build.py`; `runners.py` starts the runner that the user names.
"""

import logging

# A failed step is reported by us, in one line; Beam would log its page several times.
# `import apache_beam` warns, on the root logger, of packages for services that are not
# used here, and so installs a handler for the whole process.
if logging.getLogger("apache_beam").level == logging.NOTSET:
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
logging.getLogger().addHandler(logging.NullHandler())
logging.getLogger().addFilter(
    lambda record: not str(record.msg).startswith("apitools not found")
)
