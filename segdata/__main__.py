"""`python -m segdata`: the command without an installed script."""

from segdata.cli import main

main()
