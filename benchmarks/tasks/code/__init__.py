"""Functions of Python source as graphs: parsing, split, vocabularies, edges, labels, metric."""
