"""Kills the processes of searches, and the database's, at random, and checks that nothing is lost."""
