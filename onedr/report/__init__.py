"""The report: what is protected, how it was and what changed, as one page that shows itself anywhere."""
