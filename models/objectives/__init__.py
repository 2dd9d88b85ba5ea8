"""What trainings optimise: losses, penalties, augmentations and methods, torch-free specifications beside formulas."""
