"""Data sets, shared by the app and the workers: names, archives read without unpacking, folders on disk.

The app receives and checks uploads, `worker.data` prepares them; `models.records` keeps their rows.
"""
