"""Evaluation of a trained model on photos that it was not trained on, and the discussion of what comes out.

Read ``predictions`` (made, stored, read) and ``metrics`` with ``statistics`` (intervals and tests); then the closer
look: ``mistakes``, ``saliency``, ``calibration``, ``features`` and ``embedding``, ``label_errors``; last ``discussion``
(the sentences), which compares with the ``published`` result.
"""

from helpers.evaluation.calibration import calibrate
from helpers.evaluation.discussion import discuss
from helpers.evaluation.embedding import evenly_spaced, pca, tsne
from helpers.evaluation.features import extract_features
from helpers.evaluation.label_errors import suspected_labels
from helpers.evaluation.metrics import class_intervals, class_scores, confusion_matrix, interval_table
from helpers.evaluation.mistakes import classified_photos, confident_mistakes, least_certain, mistakes_and_correct
from helpers.evaluation.predictions import predict, read_predictions
from helpers.evaluation.published import paper_table
from helpers.evaluation.saliency import explain
from helpers.evaluation.statistics import wilson_interval
