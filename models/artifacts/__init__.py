"""Files of a run, `runs/RUN/TOKEN/`, written by `worker` and read back as one history.

Each attempt writes only in its own folder, named by its fencing token. Readers drop ticks and snapshots beyond the
position of a later resume or rollback.
"""
