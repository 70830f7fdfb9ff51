"""What OpenNebula's hook manager calls.

A hook only wakes the work: it trusts nothing but ids (docs/opennebula-facts.md O22).
"""
