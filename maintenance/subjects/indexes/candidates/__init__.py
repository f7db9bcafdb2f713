"""Index candidates: proposed for slow statements, proven by HypoPG, never built."""
