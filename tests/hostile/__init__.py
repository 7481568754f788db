"""Sick and hostile input: generators of payloads and of raw record batches, and their tests."""
