"""The Oxford-IIIT Pets as they are published: trimaps, breeds, heads.

Imports what every format does. Start at `format.py`; `lists.py` reads the lists of
images, `voc_xml.py` the boxes.
"""
