"""A run's folder: opened, written, read back, and compared with others.

Read ``folders`` (where runs are), ``run`` (``open_run``, and what a run saves), ``saving`` (the best model),
``test_set`` (evaluated once, at the end), ``finished`` (everything read back), ``table`` and ``table_text`` (runs side
by side). Each file has one module that writes and reads it: ``recipe_file``, ``environment``, ``history``, ``saving``,
``results``; ``predictions.csv`` is ``evaluation.predictions``'s, and ``split.csv`` ``data.split``'s. ``changes`` are
those made by hand in the notebook; ``leakage`` refuses a teacher that has seen the photos held out; ``locks`` keep two
processes out of one folder.
"""

from helpers.common.lazy import imported_when_used

# Imported when first used: a run's folder is chosen without torch.
__getattr__ = imported_when_used(
    __name__,
    {
        "analysis_numbers": "results",
        "describe_test": "test_set",
        "evaluate_test_set": "test_set",
        "format_text": "table_text",
        "load_best_model": "saving",
        "load_run_table": "table",
        "open_run": "run",
        "random_weights_history": "recipe_file",
        "read_run": "finished",
        "run_folders": "table",
        "save_best_model": "saving",
        "summarize": "results",
        "work_folder": "folders",
    },
)
