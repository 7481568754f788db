"""Faust agents: one file per concern, bytes in, engine, bytes out."""
