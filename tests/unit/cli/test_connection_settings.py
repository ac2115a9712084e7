"""Test the settings that are printed with a new key."""

from logferry_cli.connection_settings import connection_settings


def test_websockets_of_an_emulator_are_given_as_websockets() -> None:
    """Its outputs have one http address for all interfaces."""
    outputs = {"AgentsUrl": "http://127.0.0.1:4566/_aws/execute-api/a/live", "HttpUrl": "http://127.0.0.1:4566/h"}
    assert connection_settings("agent", outputs) == ["LOGFERRY_AGENTS_URL=ws://127.0.0.1:4566/_aws/execute-api/a/live"]
    assert connection_settings("viewer", outputs) == ["LOGFERRY_API_URL=http://127.0.0.1:4566/h"]


def test_output_that_a_stack_lacks_is_left_out() -> None:
    assert connection_settings("viewer", {"HttpUrl": "https://h"}) == ["LOGFERRY_API_URL=https://h"]
