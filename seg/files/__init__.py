"""Files: safe writing, downloads."""
