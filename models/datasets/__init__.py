"""Data sets as the app and the workers both see them: names, archives read without unpacking, folders on disk.

The app receives and checks uploads, `worker.data` prepares them; rows are `models.records`'s.
"""
