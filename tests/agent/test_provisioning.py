"""A configuration that comes over the console: what is said where there is no memory for it."""

from agent import provisioning
from agent.console import Refused

provisioning.unload = lambda *names: None  # other tests have these modules too


class Agent:
    received = ""


def put(text):
    agent = Agent()
    provisioning.config_put(agent, {"offset": 0, "data": text})
    return agent


def refused(agent):
    try:
        provisioning.config_commit(agent, {})
    except Refused as error:
        return str(error)
    return None


def test_what_is_no_json():
    agent = put("{")
    assert refused(agent) == "not JSON" and agent.received == ""


def test_no_memory_is_said_and_not_tried_again_with_nothing():
    """The console tries a call again where memory was short; what was put is gone then."""
    seen = []

    def accept(agent, new):
        seen.append(new)
        if len(seen) == 1:
            raise MemoryError

    real, provisioning.accept = provisioning.accept, accept
    try:
        agent = put('{"a": 1}')
        assert refused(agent).startswith("no memory for that")
        assert agent.received == ""
        assert refused(put('{"a": 2}')) is None
    finally:
        provisioning.accept = real
    assert seen == [{"a": 1}, {"a": 2}]
