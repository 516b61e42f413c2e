"""How fast the project is, and what was tried to make it so; README.md explains every number.

What measures: ``bench`` (``make bench``) runs the measurements of ``parts``, each by ``measure`` in a fresh process;
``memory`` reads memory, ``plot`` draws the figure. What is measured: ``contenders``. What came out: ``results/``.
"""
