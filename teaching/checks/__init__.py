"""Checks of the six graded blocks, by what they do. Needs torch and torchvision, nothing else of the project."""
