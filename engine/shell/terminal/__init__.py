"""The shell on a terminal: a prompt with completion and history, and messages that appear above it."""
