"""Creates, resumes, supervises and ends a search."""
