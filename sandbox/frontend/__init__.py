"""A stand-in for oned: what a disaster-recovery tool sees of an OpenNebula front-end, behind real XML-RPC."""

VERSION = "7.4.0"
"""The OpenNebula release it stands in for."""
