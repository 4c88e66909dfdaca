"""The report of a sound study: from records and predictions to its verdict, tables, figures and page."""
