"""Where photos come from: a folder, an archive, a download, or the garden that the project draws itself.

Read ``locate`` first; ``archives`` and ``download`` take care of files from outside, ``garden`` of the
demo photos, with ``garden_photo`` (one of them), ``garden_flowers``, ``garden_growth`` and ``garden_scene``.
"""
