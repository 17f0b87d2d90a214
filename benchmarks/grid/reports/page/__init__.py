"""A grid's report as one HTML file: the tables of `report.md`, a heat map, curves, and the numbers to download."""
