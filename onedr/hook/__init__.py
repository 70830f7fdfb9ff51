"""What OpenNebula's hook manager calls.

A hook only triggers work: it trusts nothing but ids (docs/opennebula-facts.md O22).
"""
