"""Other programs as contestants (bench.contest), each with the best settings its documentation knows for this case."""
