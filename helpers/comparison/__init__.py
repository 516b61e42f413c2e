"""Recipes compared honestly: the second notebook's cross-validation, search, and what their results allow us to say.

Read ``recipes`` (what is compared), ``folds`` (one training), ``cross_validation`` and ``search``; then ``results``
(everything they wrote, read back), ``verdicts``, ``narrative`` and ``plots``.
"""

from helpers.comparison.cross_validation import compare, photo_rows, rows_text
from helpers.comparison.folds import Protocol
from helpers.comparison.recipes import read_parameters, scaled_down
from helpers.comparison.results import mistakes_by_class, read_results
