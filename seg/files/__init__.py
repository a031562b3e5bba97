"""Files: safe writing, checksums, downloads, the default model."""
