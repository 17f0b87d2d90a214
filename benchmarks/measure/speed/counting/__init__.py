"""Speed of counting: homomorphisms, motifs and cycles."""
