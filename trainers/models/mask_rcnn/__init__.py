"""Mask R-CNN in pure Keras 3, of static shapes from end to end.

Start at `model.py`: it names the steps in order, each in a file of its own.
"""
