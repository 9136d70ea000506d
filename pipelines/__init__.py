"""Apache Beam pipelines: wiring only, the logic lives in `segdata`."""

import logging

# Before anything here imports Beam: it warns of packages for services that nobody uses
# here, on the root logger, and so installs a handler for the whole process.
if logging.getLogger("apache_beam").level == logging.NOTSET:
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
logging.getLogger().addHandler(logging.NullHandler())
