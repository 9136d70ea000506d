"""Thin Keras 3 trainers over the streams, on TensorFlow or JAX.

May import everything but `pipelines` and `commands`.
Start at `run/train.py`; models are in `models/`, what differs between labelling pixels
and finding objects in `semantic/` and `instances/`.
"""
