"""Measurements anybody can repeat, and the demonstration: `python -m bench` lists them."""
