"""The report: `segdata stats OUT --html` as one page that needs nothing beside it."""
