"""The teaching kit: release the assignment, check a solution, bundle a hand-in, grade hand-ins.

``main.py`` is the assignment's script, solved; everything else is made from it. ``checks/`` imports nothing from the
project, so that students get a copy of it.
"""
