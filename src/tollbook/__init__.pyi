from tollbook.sdk import MissingTenantError as MissingTenantError
from tollbook.sdk import agent_run as agent_run
from tollbook.sdk import configure as configure
from tollbook.sdk import current as current
from tollbook.sdk import current_span as current_span
from tollbook.sdk import environment as environment
from tollbook.sdk import feature as feature
from tollbook.sdk import flush as flush
from tollbook.sdk import marking as marking
from tollbook.sdk import memory as memory
from tollbook.sdk import origin as origin
from tollbook.sdk import request as request
from tollbook.sdk import retrieval as retrieval
from tollbook.sdk import retrieved as retrieved
from tollbook.sdk import scope as scope
from tollbook.sdk import step as step
from tollbook.sdk import tenant as tenant
from tollbook.sdk import tool as tool
from tollbook.sdk import unwrap_litellm as unwrap_litellm
from tollbook.sdk import use as use
from tollbook.sdk import user as user
from tollbook.sdk import workflow as workflow
from tollbook.sdk import wrap as wrap
from tollbook.sdk import wrap_litellm as wrap_litellm

__version__: str
