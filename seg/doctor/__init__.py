"""Doctor: what would really run here. Each check tries it; none reads a version and hopes."""
