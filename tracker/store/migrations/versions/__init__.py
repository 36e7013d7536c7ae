"""The steps, each in a file that begins with its number."""
