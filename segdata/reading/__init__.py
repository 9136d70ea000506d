"""Records and samples of a finished build at random, as NumPy. No TensorFlow.

May import `records`, `shards` and what comes before them.
Start at `record_source.py`. `order.py` and `sampler.py` decide which record comes when,
for every reader; `samples.py` gives what streams give; `options.py` has all options.
"""
