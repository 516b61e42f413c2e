"""A run's folder: opened, written, read back, and compared with others.

Read ``run`` (``open_run``, and what a run saves), ``saving`` (the best model), ``test_set`` (evaluated once, at the
end), ``finished`` (everything read back), ``table`` and ``table_text`` (runs side by side). Each file has one module
that writes and reads it: ``recipe_file``, ``environment``, ``history``, ``saving``, ``results``; ``predictions.csv`` is
``evaluation.predictions``'s, and ``split.csv`` ``data.split``'s. ``changes`` are those made by hand in
the notebook; ``leakage`` refuses a teacher that has seen the photos held out; ``locks`` keep two processes out of one
folder.
"""

from helpers.runs.finished import read_run
from helpers.runs.recipe_file import random_weights_history
from helpers.runs.results import analysis_numbers, summarize
from helpers.runs.run import open_run, work_folder
from helpers.runs.saving import load_best_model, save_best_model
from helpers.runs.table import load_run_table, run_folders
from helpers.runs.table_text import format_text
from helpers.runs.test_set import describe_test, evaluate_test_set
