"""Alerts: open findings become messages, one per change of state."""
