"""Draw every figure. Functions take data, not trainers, and return a closed matplotlib ``Figure``.

Closed means that pyplot no longer holds it, so a notebook shows it once, as the cell's value. Read ``style`` first
(colours, panels, ``finalize``); then ``photos`` (data and augmentation), ``training`` (curves), ``evaluation``
(confusion, calibration, embedding) and ``predictions`` (photos with theirs).
"""

from helpers.plots import evaluation, photos, predictions, training
