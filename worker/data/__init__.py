"""Data sets for training: `prepare` decodes one into a memory-mapped file, `worker.data.loader` draws batches from it.

Nothing here imports torch until a loader is asked for, or a set that torchvision reads.
"""

from worker.data.ingest import prepare
from worker.data.prepared import DataProblem, Prepared, Skipped

__all__ = ["DataProblem", "Prepared", "Skipped", "prepare"]
