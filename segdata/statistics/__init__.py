"""`segdata stats`: what is counted of a build, and what looks odd in it.

May import `records`, `shards` and what comes before them.
Start at `counting.py`; `tally.py` holds the sums, `stats_file.py` the file they end in.
"""
