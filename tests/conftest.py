"""For all tests: property tests have no deadline, since a loaded machine is slow now and then."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "tollbook", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("tollbook")
