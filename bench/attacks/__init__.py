"""What is left of a transfer under floods, and how soon a right that was taken away ends."""
