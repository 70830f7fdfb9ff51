"""A stand-in of OpenNebula's FireEdge: the calls of its API that OneDR's page needs, translated to oned's,
and a page that loads a remote as Sunstone does. Nothing of OpenNebula's code is in it.
"""
