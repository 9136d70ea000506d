"""From a scanned source to a finished build: plan, shard, output, update.

No Beam: how shards are run is an argument. May import `formats`, `records`, `shards`.
Start at `build.py`; `plan.py` decides a record's shard, `shard.py` builds one.
"""
