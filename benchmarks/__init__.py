"""What our work costs, each time beside its peer: same run, same server, same tables."""
