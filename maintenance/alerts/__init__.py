"""Alerts: findings that stand become messages, each told once for every turn it takes."""
