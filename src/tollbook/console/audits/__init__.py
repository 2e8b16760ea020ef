"""Files that people hand to the console to be audited: received, audited beside, kept for a while.

The audit is a process of its own (:mod:`.worker`), so that a file that was made to do harm can take
neither the ledger's time nor its memory. Nothing of a file outlives its audit.
"""
