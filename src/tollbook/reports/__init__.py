"""Every question as one query object, answered by one Ibis expression."""
