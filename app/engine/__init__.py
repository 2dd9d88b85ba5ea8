"""How many requests share one loaded generator: `sampler` is what the service sees of it.

Torch is imported by `calibration`, `devices`, `folding`, `graphs`, `network`, `pool`, `sampler`, `tile` and `trial`;
by nothing else, so that the API's description needs none.
"""
