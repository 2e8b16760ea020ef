"""Settings: ``tollbook.toml`` and ``TOLLBOOK_SECTION__NAME``, with errors that name the key."""

from tollbook.config.load import load_config
from tollbook.config.problems import ConfigError
from tollbook.config.schema import Config

__all__ = ["Config", "ConfigError", "load_config"]
