"""Pure decisions: facts in, verdicts and ordered steps out. No I/O, no clock, no randomness."""
