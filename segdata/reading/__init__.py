"""Records of a finished build at random, as NumPy arrays. No TensorFlow.

May import `records`, `shards` and what comes before them.
Start at `record_source.py`; `options.py` has the options of every reader.
"""
