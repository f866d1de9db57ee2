"""Devices: how one is reached, served and asked to measure."""
