"""Batches for training and validation.

Read ``loaders`` (which kind serves a run), ``canvases`` and ``batch_augmentation`` (photos in memory, augmented in
whole batches on the device), ``streaming`` (photos from disk), ``array_cache`` and ``derived`` (what was decoded or
computed, kept on disk).
"""
