"""A stand-in for oned: the part of an OpenNebula front-end that a disaster-recovery tool sees, behind real XML-RPC."""

VERSION = "7.4.0"
"""The OpenNebula release it stands in for."""
