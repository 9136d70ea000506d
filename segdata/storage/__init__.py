"""Where bytes lie: on this machine, in s3://, gs:// or hdfs://.

Knows nothing of images, records or builds; imports only `errors`.
Start at `paths.py`: what a place can do, whichever it is.

Own classes, not `universal-pathlib` (looked at again: 0.3.10): its paths have no
listing that answers for a whole folder, no states, ranges or whole writes, so that a
subclass would be as long; and joining two of them takes several times as long.
"""
