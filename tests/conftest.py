"""For all tests: property tests have no deadline, since a loaded machine is slow now and then.

In CI they try the same examples each time: a change is judged by what it changes. Everybody else
tries new ones, and what they find becomes an explicit example.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "tollbook", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("tollbook-ci", settings.get_profile("tollbook"), derandomize=True)
settings.load_profile("tollbook-ci" if os.environ.get("TOLLBOOK_TESTS_ARE_FIXED") else "tollbook")

# The project's own pytest plugin has calls without a tenant raise; the tests here look at all that
# can be done about them.
os.environ.setdefault("TOLLBOOK_MISSING_TENANT", "book")
