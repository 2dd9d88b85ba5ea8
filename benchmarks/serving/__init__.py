"""Serving benchmark: the service against two peers, and against its own work done alone; `__main__` runs it."""
