"""Measurements that can be repeated on any machine, and the demonstration: `python -m bench` lists them."""
