"""The Python API. Everything public is exported by :mod:`ctct`; import it from there."""
