"""Maps of queries, keys and values that are products along the paths of trees."""
