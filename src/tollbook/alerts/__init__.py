"""Rules over the ledger, the incidents that they open, and the channels that tell people."""
