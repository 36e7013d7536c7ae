"""What is allowed, how much of it, and who hears of whom: rules on plain values. Pure.

No SQL, no socket, no clock: facts and the time are arguments. Not here: looking the facts up (store), acting (service).
"""
