"""Files of a run, `runs/RUN/TOKEN/`, written by `worker` and read back as one history.

Each attempt writes only in its own folder, named by its fencing token. Ticks and snapshots beyond the position from
which a later attempt resumed, or to which a rollback returned, are dropped by readers.
"""
