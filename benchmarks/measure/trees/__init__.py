"""Experiments with functions of the distances in trees, as in the paper on tree-field integrators, on real graphs.

Each module is a script that writes its section of a Markdown file: `metrics` (distances of graphs from those of their
spanning trees), `classification` (graphs by the spectra of tree fields), `normals` (interpolation on a mesh) and
`training` (a transformer with a tree mask and without).
"""
