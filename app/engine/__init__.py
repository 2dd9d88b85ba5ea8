"""How many requests share one loaded generator: `sampler` is what the service sees of it.

Only `admission`, `batcher`, `inputs` and this file can be imported without torch.
"""
