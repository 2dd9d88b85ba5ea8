"""Objectives of trainings: losses, penalties, augmentations and methods, specified without torch."""
