"""Rates and tokens: laws of the buckets, and what counts as the token."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optical_ir.errors import ConfigError
from optical_ir.serving import TOKEN_VARIABLE, read_token
from optical_ir.serving.limits import _ADDRESSES, RateLimit, _is_token, _without_port, is_loopback
from optical_ir.serving.server import check_access

TOKEN = "0123456789abcdef"


@given(
    steps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
    rate=st.floats(0.1, 10),
    burst=st.integers(1, 20),
)
def test_no_window_has_more_than_burst_and_rate_allow(steps, rate, burst):
    now = 0.0
    limit = RateLimit(rate, burst, clock=lambda: now)
    passed = []
    for step in steps:
        now += step
        if not limit.wait("a"):
            passed.append(now)
    for i, start in enumerate(passed):
        for j in range(i, len(passed)):
            assert j - i + 1 <= burst + (passed[j] - start) * rate + 1e-6


@given(rate=st.floats(0.1, 10), burst=st.integers(1, 20))
def test_who_waits_as_long_as_told_passes(rate, burst):
    now = 0.0
    limit = RateLimit(rate, burst, clock=lambda: now)
    assert not any(limit.wait("a") for _ in range(burst))
    seconds = limit.wait("a")
    assert 0 < seconds <= 1 / rate + 1e-9
    now += seconds + 1e-6
    assert limit.wait("a") == 0


def test_addresses_do_not_share_a_bucket_but_a_home_does():
    limit = RateLimit(1, 1, clock=lambda: 0.0)
    assert [bool(limit.wait(a)) for a in ("1.1.1.1", "1.1.1.2", "1.1.1.1")] == [False, False, True]
    assert not limit.wait("2001:db8::1")
    assert limit.wait("2001:db8::ffff:2")
    assert not limit.wait("2001:db8:0:1::1")


def test_the_table_of_addresses_is_bounded():
    limit = RateLimit(1, 1)
    for number in range(_ADDRESSES + 500):
        limit.wait(str(number))
    assert len(limit) == _ADDRESSES


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        (f"Bearer {TOKEN}".encode(), True),
        (f"bearer  {TOKEN}".encode(), True),
        (basic(f"anyone:{TOKEN}"), True),
        (basic(f":{TOKEN}"), True),
        (b"", False),
        (TOKEN.encode(), False),
        (b"Bearer", False),
        (f"Bearer {TOKEN[:-1]}".encode(), False),
        (f"Bearer {TOKEN}0".encode(), False),
        (b"Bearer \xff\xfe", False),
        (basic(TOKEN), False),
        (b"Basic !!!", False),
        (f"Digest {TOKEN}".encode(), False),
    ],
)
def test_only_the_token_is_the_token(given, passes):
    assert _is_token(given, TOKEN.encode()) is passes


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.2", False),
        ("localhost.example.org", False),
    ],
)
def test_other_hosts_than_loopback_need_a_token(host, is_local):
    assert is_loopback(host) is is_local
    check_access(host, TOKEN)
    if is_local:
        check_access(host, None)
    else:
        with pytest.raises(ConfigError, match="expected a token, as others can reach"):
            check_access(host, None)


@pytest.mark.parametrize(
    ("given", "name"),
    [("localhost:80", "localhost"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a.b", "a.b")],
)
def test_a_port_is_no_part_of_the_name(given, name):
    assert _without_port(given) == name


def test_the_token_comes_from_the_file_then_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, "e" * 16)
    assert read_token(None) == "e" * 16
    (tmp_path / "token").write_text("f" * 16 + "\n")
    assert read_token(tmp_path / "token") == "f" * 16
    for bad in ("short", "", "two words of a token", "é" * 20):
        (tmp_path / "token").write_text(bad)
        with pytest.raises(ConfigError, match="expected a token of 16 ASCII characters") as found:
            read_token(tmp_path / "token")
        assert not bad or bad not in str(found.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "gone")
