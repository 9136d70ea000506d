"""Where bytes lie: on this machine, in s3://, gs:// or hdfs://.

Knows nothing of images, records or builds; imports only `errors`.
Start at `paths.py`: what a place can do, whichever it is.
"""
