"""What all packages share: errors, names, types, records, settings. No I/O."""
