"""Pictures of records for people.

May import `records` and what comes before; needs no fonts of the machine.
Start at `sheet.py`: whole records on one sheet with a legend; `draw.py` draws one.
"""
