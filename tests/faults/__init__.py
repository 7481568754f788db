"""Faults against real workers on a real broker under load; every run ends with the checker.

`python -m tests.faults --cycles N --seed S`, or `make faults CYCLES=N SEED=S`.
"""
