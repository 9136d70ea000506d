"""The command line: one file for each command, thin over the library.

May import everything; nothing else imports it, or click.
Start at the file named like the command.
"""
