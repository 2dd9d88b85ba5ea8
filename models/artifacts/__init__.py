"""A run's files, `runs/RUN/TOKEN/`: `worker` decides who writes what; here they are read back as one history.

Each attempt writes only in its own folder, named by its fencing token. What an attempt did after the point from which
a later one resumed never happened as far as a reader is concerned: those ticks and snapshots are dropped. So is what an
attempt did after the point that a rollback took it back to.
"""
