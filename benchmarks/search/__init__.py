"""The search benchmark: every algorithm on tables of networks that were trained once and for all."""
