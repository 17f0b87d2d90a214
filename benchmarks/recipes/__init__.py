"""Published configurations, a YAML file each: source, published metric, options of `graphpe train`."""
