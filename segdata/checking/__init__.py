"""`segdata verify`, `diff` and `inspect`: is it whole, what differs, what is in it.

May import `shards`, `records`, `images` and what comes before them.
Start at the file named like the command.
"""
