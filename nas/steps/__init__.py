"""One command's trainings, one after the other, each a trial of one search, that go on after a kill."""
