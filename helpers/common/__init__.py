"""What every room uses, in no particular order.

``errors`` (for the user), ``files`` and ``tensors`` (written whole or not at all), ``text``, ``seeding``, ``device``,
``modules`` (precision and mode of a network), ``distributed`` (several processes), ``lazy`` (imports),
``progress`` and ``notebook``.
"""
