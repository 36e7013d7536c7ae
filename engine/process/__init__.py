"""What every process of a client does alike: it keeps its tasks, and raises its limit of open files."""
