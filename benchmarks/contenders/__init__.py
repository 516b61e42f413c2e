"""The methods that are compared: the assignment's template, settings for ``fast``, rules for unknown flowers."""
