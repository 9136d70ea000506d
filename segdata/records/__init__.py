"""One record: annotation dict and file contents in, `tf.train.Example` out; and back.

No files and no TensorFlow; may import `masks`, `images` and what comes before them.
Start at `encode.py` to follow one in, at `parse.py` to follow one out; `schema.py`
is the only place where a key is written.
"""
