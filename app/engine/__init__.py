"""The sampling engine: how many requests share loaded generators. `engine` is its interface; it knows no HTTP.

Only `calibration`, `devices`, `engine`, `folding`, `graphs`, `network`, `pool`, `runner` and `self_test` import torch:
the API's schema is made without it.
"""
