"""The tracker: which accounts there are, who is in which group, who has which file. No byte of a file passes here."""
