"""What was measured, kept and shown: figures with their goals, RESULTS, the README's lines, pictures."""
