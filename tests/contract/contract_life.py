"""Imports the cases in the order in which they are played: each begins where the one before it ended."""
# ruff: noqa: F401, I001
import contract_cases_ds
import contract_cases_vm
import contract_cases_errors
import contract_cases_vmerrors
import contract_cases_dsupdate
import contract_cases_late
