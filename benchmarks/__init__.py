"""Benchmarks of our work against a peer: same run, same server, same tables."""
