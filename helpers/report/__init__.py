"""The assignment's report as a PDF, computed from the files of a finished run.

Read ``build`` first (run → content → typst), then ``story`` for the order of the sections; ``method``, ``experiments``
and ``comparison`` write them from ``facts``, with ``tables`` and ``figures``, in the terms of ``markup``, which
``report/report.typ`` lays out. ``integrity`` refuses a run whose files were edited.
"""
