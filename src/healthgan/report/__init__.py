"""From records to tables, figures and one HTML file; no torch."""
