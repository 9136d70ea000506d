"""Small synthetic datasets, drawn on the spot, to try segdata without a dataset.

May import `masks` and `label_map`; knows no format's reader.
Start at the file named like the format.

`write_FORMAT_sample(directory, seed=, num_train=, num_val=)` draws a dataset into a
folder, made where it is missing: `seed` is at least 0, the others are numbers of
images. The same seed gives the same bytes. Image `k` of a split depends on the seed,
the split and `k` alone: a larger sample starts with the images of a smaller one.
"""
