"""A package, so that no other one of this name in site-packages stands in for it."""
