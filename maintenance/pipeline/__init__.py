"""The pipeline of one command: observe, plan, execute, record, notify."""
