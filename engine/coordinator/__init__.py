"""Processes: the coordinator decides, the workers own sockets and bytes, the pool keeps them alive."""
