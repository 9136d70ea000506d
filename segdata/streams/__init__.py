"""A finished build as `tf.data` streams of static shapes.

The only room of `segdata/` that imports TensorFlow; may import `reading`.
Start at `reader.py`: `read_semantic`, `read_instances`; `order.py` finds the bytes of
each record, `decode.py` turns them into tensors.
"""
