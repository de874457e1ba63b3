"""The service does what its own OpenAPI description says, whatever is sent."""

import json
import os
import urllib.error
import urllib.request

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

schemathesis = pytest.importorskip("schemathesis")

PATHS = {"/", "/search", "/explain", "/health", "/metrics"}

# The same requests on every run, as a check of a change should not fail for another; new ones, and
# many, where faults are looked for in full.
FULL = os.environ.get("OPTICAL_IR_FAULTS") == "full"
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=not FULL)


def test_answers_to_generated_requests_are_as_described(live):
    schema = schemathesis.openapi.from_url(f"{live}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} == PATHS
    modes = schemathesis.GenerationMode
    # Texts that fit the description may still have more tokens than the encoder reads, and ids
    # are described as any text: those answers are 422, so that valid requests pass is not asked.
    unasked = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
    # A body that is too large is refused unread, with 413, which the check of refusals lacks.
    refused_unread = [*unasked, schemathesis.checks.CHECKS.get_one("negative_data_rejection")]
    for operation in operations:
        takes_something = operation.path not in ("/health", "/metrics")
        for mode in (modes.POSITIVE, modes.NEGATIVE) if takes_something else (modes.POSITIVE,):

            @settings(SETTINGS, max_examples=2000 if FULL else 20)
            @given(operation.as_strategy(generation_mode=mode))
            def ask(case):
                answer = case.call()
                excluded = refused_unread if answer.status_code == 413 else unasked
                case.validate_response(answer, excluded_checks=excluded)

            ask()


@settings(SETTINGS, max_examples=2000 if FULL else 30)
@given(query=st.text(min_size=1, max_size=40), k=st.integers(1, 5))
def test_any_text_is_answered_or_refused(live, query, k):
    body = json.dumps({"query": query, "lang": "sw", "k": k}).encode()
    request = urllib.request.Request(
        f"{live}/search", body, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request) as answer:
            assert len(json.load(answer)["hits"]) <= k
    except urllib.error.HTTPError as err:
        with err:
            assert err.code == 422
            assert set(json.load(err)) == {"reason", "detail"}
