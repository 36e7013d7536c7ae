"""What the shell answers: reports as sentences and tables for people, as JSON lines for programs."""
