"""From a folder of photos to batches. Data flows one way: found, audited, split, decoded, augmented, loaded.

Read ``image_folder`` with ``listings`` (photos and their classes), ``audit`` with ``decode``, ``pixels`` and
``near_duplicates`` (unreadable files, duplicates), ``split``, ``augmentation`` (the graded transforms), then
``loading/`` (batches, from memory or from disk). ``sources/`` finds, downloads or draws the photos.
"""

from helpers.common.lazy import imported_when_used

# Imported when first used: finding and splitting photos work without torch.
__getattr__ = imported_when_used(
    __name__,
    {
        "audit_photos": "audit",
        "find_photos": "image_folder",
        "five_augmentations": "augmentation",
        "load_photo": "decode",
        "locate_photos": "sources.locate",
        "make_loaders": "loading.loaders",
        "open_dataset": "sources.locate",
        "open_split": "split",
        "split_photos": "split",
        "train_transform": "augmentation",
        "val_transform": "augmentation",
        "write_split": "split",
    },
)
