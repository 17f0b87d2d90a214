"""Graphs that measurements are made on."""
