"""The tracker: who is who, who is in which group, and who has which file. No byte of a file ever passes here."""
