"""Everything that speaks to oned or maps its XML."""
