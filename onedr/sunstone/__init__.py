"""OneDR's page and tabs in Sunstone (docs/sunstone.md): putting them into a front-end, looking whether they
are whole. The page itself is in the folder sunstone/ beside this library.
"""
