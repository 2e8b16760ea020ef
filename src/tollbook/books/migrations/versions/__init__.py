"""One file per revision, named and numbered in order."""
