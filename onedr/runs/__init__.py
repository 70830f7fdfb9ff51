"""One engine for every journaled run: request, steps, journal, history, state."""
