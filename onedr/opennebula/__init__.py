"""Everything that calls oned or maps its XML."""
