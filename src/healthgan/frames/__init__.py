"""A study's results as pandas frames in long form: one observation a row, every column documented.

The figures are those of the tables that the report writes, from the same functions. A frame has the columns of its
table in :mod:`healthgan.frames.columns`, also where it has no rows.
"""
