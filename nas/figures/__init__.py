"""Figures: data first, then a drawing."""
