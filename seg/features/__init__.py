"""Work on feature vectors: nearest neighbors and clusters; numpy in, numpy out."""
