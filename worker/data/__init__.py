"""Data sets for training: prepared once into a memory-mapped file (`prepare`), then read in batches (`loader`).

Only the loader and the sets that torchvision reads need torch.
"""

from worker.data.ingest import prepare
from worker.data.prepared import Prepared, SkippedImage

__all__ = ["Prepared", "SkippedImage", "prepare"]
