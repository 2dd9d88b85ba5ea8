"""Uploaded data sets, as the app and the workers both see them: archives read without unfolding, and what is on disk.

The app receives and checks, `worker.data` prepares; rows are `models.records`'s.
"""
