"""Use a finished run's model on new photos, and export it.

Read in this order: ``predictor`` (a run's model on photos), ``out_of_distribution`` (which photos to flag),
``input_photos`` (the paths that a user names), ``summary`` and ``contact_sheet`` (how predictions are shown), and
``export/`` (a model as a file for use elsewhere).
"""

from helpers.inference.contact_sheet import photo_figure
from helpers.inference.input_photos import expand_paths
from helpers.inference.out_of_distribution import fit_ood_detector
from helpers.inference.predictor import open_predictor
from helpers.inference.summary import prediction_table
