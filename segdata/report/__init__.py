"""The report: `segdata stats OUT --html` as one page that needs nothing beside it.

May import `statistics`, `drawing` and `dataset`.
Start at `page.py`; `page.html.j2` is its template.
"""
