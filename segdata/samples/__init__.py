"""Small synthetic datasets, drawn on the spot, to try segdata without a dataset.

May import `masks` and `label_map`; knows no format's reader.
Start at the file named like the format.
"""
