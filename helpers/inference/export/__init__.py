"""Export a run's model as a file for use without this project.

Read in this order: ``export`` (the steps), ``formats`` (torch.export and ONNX), ``preprocessing`` (what a user of the
file must know), ``verify`` (same predictions as PyTorch), ``timing`` (speed) and ``classify`` (a script for users).
"""

from helpers.inference.export.export import export_run
