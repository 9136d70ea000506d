"""The small commands of `segdata`: each one thin over a function of the library."""
