"""Images as numpy arrays: reading, fitting, drawing, filtering."""
