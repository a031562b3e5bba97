"""Files: safe writing, checksums, downloads, cache folders, the default model."""
