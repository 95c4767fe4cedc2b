"""The rules for callback URLs: rewrites, allowed hosts, and the many notations of a forbidden address."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from promo_sandbox.base.callback_policy import NotAllowed, Policy, Rewrite, parse_rewrite
from promo_sandbox.base.urls import MAX_URL

CLOSED = Policy()
SHOP = Rewrite("https://shop.example/", "http://10.1.2.3:9000/")


def rejection(policy: Policy, url: str, *rewrites: Rewrite) -> str:
    with pytest.raises(NotAllowed) as rejected:
        policy.target(url, rewrites)
    return rejected.value.reason


# What is called


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://localhost/hook?a=1&b=%20#top", "https://localhost/hook?a=1&b=%20"),
        ("https://shop.localhost:8443", "https://shop.localhost:8443/"),
        ("HTTPS://LocalHost./Hook", "https://localhost/Hook"),
        ("https://localhost:/", "https://localhost/"),
        ("https://localhost:443/", "https://localhost/"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/"),
        ("https://127.255.0.9/", "https://127.255.0.9/"),
        ("https://127.0.0.1./", "https://127.0.0.1/"),
        ("https://[::1]:9000/x", "https://[::1]:9000/x"),
        ("https://[0:0:0:0:0:0:0:1]/", "https://[::1]/"),
        ("https://localhost/grüße?q=ü", "https://localhost/gr%C3%BC%C3%9Fe?q=%C3%BC"),
        ("https://localhost/a/../../b/./c/%2e%2E/d", "https://localhost/b/d"),
        ("https://localhost/a/..", "https://localhost/"),
        ("https://localhost//a//", "https://localhost//a//"),
        ("https://localhost/a%2Fb%252e", "https://localhost/a%2Fb%252e"),
        ("https://127。0。0。1/", "https://127.0.0.1/"),
        ("https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://localhost/"),
    ],
)
def test_loopback_is_called_by_one_spelling(url: str, called: str) -> None:
    target = CLOSED.target(url)

    assert target.url == called
    assert not target.trusted
    assert target.rewrite is None
    assert URL(called, encoded=True).raw_host == target.host


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/",
        "https://localhost.example/",
        "https://notlocalhost/",
        "https://127.0.0.1.example/",
        "https://8.8.8.8/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://128.0.0.1/",
        "https://[2606:4700::1111]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:0:127.0.0.1]/",
        "https://metadata.google.internal/",
        "https://host.docker.internal/",
    ],
)
def test_only_loopback_and_allowed_hosts_are_called(url: str) -> None:
    shown = url.split("/")[2]

    assert rejection(CLOSED, url) == (
        f"{_one_spelling(shown)} is not allowed; "
        f"start the server with --callback-allow {_one_spelling(shown)}, "
        f"or --callback-rewrite https://{_one_spelling(shown)}/=http://127.0.0.1:9000/"
    )


def _one_spelling(host: str) -> str:
    return f"[{IPv6Address(host[1:-1])}]" if host.startswith("[") else host


@pytest.mark.parametrize(
    "url",
    [
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0x7f.0.0.0x1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.01/",
        "https://127.0.0.1.1/",
        "https://a.0x/",
        "https://127.0.0.256/",
        "https://127.0.0.1../",
        "https://localhost../",
        "https://.localhost/",
        "https://%6cocalhost/",
        "https://127.0.0.1%2f.shop.example/",
        "https://[::1%25lo]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1%lo]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::1]shop.example/",
        "https://shop.example[::1]/",
        "https://[127.0.0.1]/",
        "https://[v1.localhost]/",
        "https://::1/",
        "https://localhost:0/",
        "https://localhost:65536/",
        "https://localhost:99999999999/",
        "https://localhost:-1/",
        "https://localhost:\uff18\uff10/",
        "https://localhost:80:80/",
        "https://user:password@localhost/",
        "https://localhost@shop.example/",
        "https://shop.example@localhost/",
        "https://@localhost/",
        "https://localhost\\@shop.example/",
        "https://shop.example\\.localhost/",
        "https://local host/",
        "https://localhost /",
        " https://localhost/",
        "https://local\thost/",
        "https://localhost/\r\nHost: shop.example",
        "https://localhost/\ud800",
        "https://local\xadhost\x00/",
        "https://*.localhost/",
        "https://a,b.localhost/",
        "https://-a.localhost/",
        f"https://{'a' * 64}.localhost/",
        f"https://{'a.' * 130}localhost/",
        f"https://aa.{'a.' * 121}localhost/",
        "https://a\u2100.localhost/",
        "https:/localhost/",
        "https:localhost",
        "https:///localhost",
        "https://:443/",
        "//localhost/",
        "localhost",
        "ftp://localhost/",
        "file:///etc/passwd",
        "unix:///var/run/docker.sock",
        "",
        f"https://localhost/{'a' * MAX_URL}",
    ],
)
def test_an_ambiguous_url_is_rejected_with_one_sentence(url: str) -> None:
    everything = Policy(["0.0.0.0/0", "::/0", "*.example", "*.localhost"])

    for policy in (CLOSED, everything):
        reason = rejection(policy, url)
        assert reason
        assert "\n" not in reason
        assert "--callback-" not in reason  # it is not taken for a host that could be allowed
        assert "codec" not in reason
        assert "password" not in reason


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("shop.example", "https://shop.example/"),
        ("SHOP.example.", "https://shop.EXAMPLE:8443/"),
        ("shop.example:8443", "https://shop.example:8443/"),
        ("shop.example:443", "https://shop.example/"),
        ("*.example", "https://a.b.example/"),
        ("*.example:8443", "https://a.example:8443/"),
        ("receiver", "http://receiver:9000/"),
        ("my_receiver", "http://my_receiver/"),
        ("münchen.example", "https://xn--mnchen-3ya.example/"),
        ("xn--fa-hia.example", "https://faß.example/"),
        ("10.1.2.3", "https://10.1.2.3:1/"),
        ("10.1.2.3:9000", "http://10.1.2.3:9000/"),
        ("10.0.0.0/8", "https://10.255.0.1/"),
        ("fd00::/8", "https://[fd00::1]/"),
        ("fd00::1", "https://[fd00:0::1]/"),
        ("[fd00::1]:8443", "https://[fd00::1]:8443/"),
        ("[fd00::1]", "https://[fd00::1]/"),
        ("169.254.169.254", "http://169.254.169.254/"),
    ],
)
def test_allowed_hosts_are_called(allow: str, url: str) -> None:
    assert not Policy([allow]).target(url).trusted


@pytest.mark.parametrize(
    ("allow", "url", "shown"),
    [
        ("shop.example", "https://a.shop.example/", "a.shop.example"),
        ("shop.example:8443", "https://shop.example/", "shop.example"),
        ("shop.example", "https://shop.example.evil.example/", "shop.example.evil.example"),
        ("*.example.com", "https://example.com/", "example.com"),
        ("*.example.com", "https://badexample.com/", "badexample.com"),
        ("*.example.com:443", "https://a.example.com:9/", "a.example.com:9"),
        ("fass.example", "https://faß.example/", "xn--fa-hia.example"),
        ("10.1.2.3:9000", "http://10.1.2.3:9001/", "10.1.2.3:9001"),
        ("10.0.0.0/8", "http://11.0.0.1/", "11.0.0.1"),
        ("10.0.0.0/8", "http://a.example/", "a.example"),
        ("10.0.0.0/8", "http://[::ffff:0:10.0.0.1]/", "[::ffff:0:a00:1]"),
        ("[fd00::1]:8443", "https://[fd00::1]/", "[fd00::1]"),
    ],
)
def test_no_more_than_the_operator_allows_is_called(allow: str, url: str, shown: str) -> None:
    assert rejection(Policy([allow]), url).startswith(
        f"{shown} is not allowed; start the server with --callback-allow {shown}, or"
    )


@pytest.mark.parametrize("url", ["https://shop.example:8443/", "https://10.9.8.7/", "https://[fd00::1]:7/"])
def test_the_option_in_the_error_allows_the_call(url: str) -> None:
    named = rejection(CLOSED, url).split("--callback-allow ")[1].split(",")[0]
    rewrite = rejection(CLOSED, url).split("--callback-rewrite ")[1]

    assert Policy([named]).target(url).url == url
    assert Policy([], [parse_rewrite(rewrite)]).target(url).url == "http://127.0.0.1:9000/"


@pytest.mark.parametrize(
    "allow",
    ["", "*", "*.", "https://shop.example", "shop.example/x", "10.0.0.1/8", "10.0.0.0/33", "2130706433", "0x7f.1",
     "*.0x1", "*.10.0.0.1", "a..b", "shop.example:0", "shop.example:x", "user@shop.example", "fe80::1%eth0", "a b"],
)  # fmt: skip
def test_an_invalid_entry_is_reported_in_one_sentence(allow: str) -> None:
    with pytest.raises(ValueError, match=r"^.+$") as rejected:
        Policy([allow])

    assert repr(allow.removeprefix("*."))[1:] in str(rejected.value)


# After resolution


def test_an_allowed_name_is_called_at_a_public_address() -> None:
    policy = Policy(["shop.example"])
    target = policy.target("https://shop.example/")

    policy.validate_address(target, "93.184.216.34")
    policy.validate_address(target, "2606:2800:220:1::1")


HIDDEN = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),  # noqa: S104 - nothing binds there
    *("100.64.0.1", "169.254.169.254", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1", "4000::1"),
    *("::ffff:808:808", "::ffff:7f00:1", "::ffff:0:808:808", "::808:808", "64:ff9b::808:808", "64:ff9b:1::1"),
    *("2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
]


@pytest.mark.parametrize("address", HIDDEN)
def test_an_allowed_name_that_points_inside_is_not_called_there(address: str) -> None:
    policy = Policy(["shop.example"])

    with pytest.raises(NotAllowed) as rejected:
        policy.validate_address(policy.target("https://shop.example/"), address)

    assert rejected.value.reason == (
        f"shop.example resolves to {address}, which is not a public address; "
        f"to allow it, start the server with --callback-allow {address.partition('%')[0]}"
    )


@pytest.mark.parametrize("address", [address for address in HIDDEN if "%" not in address])
def test_it_is_where_the_address_is_allowed_as_well(address: str) -> None:
    policy = Policy(["shop.example", address])

    policy.validate_address(policy.target("https://shop.example/"), address)


def test_an_address_that_is_allowed_on_one_port_hides_no_name_on_another() -> None:
    policy = Policy(["shop.example", "10.0.0.1:9000"])

    policy.validate_address(policy.target("https://shop.example:9000/"), "10.0.0.1")
    with pytest.raises(NotAllowed):
        policy.validate_address(policy.target("https://shop.example/"), "10.0.0.1")


@pytest.mark.parametrize("address", ["10.0.0.1", "93.184.216.34", "::ffff:127.0.0.1", "nonsense", ""])
def test_a_name_in_localhost_is_called_on_loopback_only(address: str) -> None:
    target = CLOSED.target("https://shop.localhost/")

    CLOSED.validate_address(target, "127.0.0.1")
    CLOSED.validate_address(target, "::1")
    with pytest.raises(NotAllowed):
        CLOSED.validate_address(target, address)


# Rewrites


@pytest.mark.parametrize(
    ("text", "url", "called"),
    [
        ("https://shop.example/=http://10.1.2.3:9000/", "https://shop.example", "http://10.1.2.3:9000/"),
        ("https://shop.example/=http://10.1.2.3:9000/", "https://shop.example/a/b?c=d", "http://10.1.2.3:9000/a/b?c=d"),
        ("https://shop.example=http://10.1.2.3:9000", "https://SHOP.example./a", "http://10.1.2.3:9000/a"),
        ("https://shop.example/=http://10.1.2.3/in", "https://shop.example", "http://10.1.2.3/in"),
        ("https://shop.example/=http://10.1.2.3/in", "https://shop.example/a", "http://10.1.2.3/in/a"),
        ("https://shop.example/=http://10.1.2.3/in/", "https://shop.example/../a", "http://10.1.2.3/in/a"),
        ("https://shop.example/hooks=http://10.1.2.3/", "https://shop.example/hooks", "http://10.1.2.3/"),
        ("https://shop.example/hooks=http://10.1.2.3/", "https://shop.example/hooks/", "http://10.1.2.3/"),
        ("https://shop.example/hooks=http://10.1.2.3/", "https://shop.example/hooks/a?b", "http://10.1.2.3/a?b"),
        ("https://shop.example/a=b/=http://10.1.2.3/", "https://shop.example/a=b/c", "http://10.1.2.3/c"),
        ("HTTPS://Shop.Example:443/=HTTP://10.1.2.3:80/", "https://shop.example/a", "http://10.1.2.3/a"),
        ("https://[::2]:8443/=http://localhost/", "https://[0::2]:8443/a", "http://localhost/a"),
    ],
)
def test_a_rewrite_leads_on_and_is_trusted(text: str, url: str, called: str) -> None:
    rewrite = parse_rewrite(text)

    target = Policy([], [rewrite]).target(url)

    assert (target.url, target.trusted, target.rewrite) == (called, True, rewrite)
    Policy([], [rewrite]).validate_address(target, "169.254.169.254")


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hooks",
        "http://shop.example:443/hooks",
        "https://shop.example:8443/hooks",
        "https://shop.example/",
        "https://shop.example/hooksandmore",
        "https://shop.example/hooks/../admin",
        "https://shop.example/hooks/%2e%2e/admin",
        "https://shop.example/Hooks",
        "https://shop.example.evil.example/hooks",
        "https://10.1.2.3:9000/hooks",
    ],
)
def test_a_rewrite_applies_only_to_urls_that_begin_with_its_source(url: str) -> None:
    policy = Policy([], [Rewrite("https://shop.example/hooks", "http://10.1.2.3:9000/")])

    assert "is not allowed; start the server with" in rejection(policy, url)


def test_the_longest_source_wins_and_an_orgs_before_the_operators() -> None:
    longer = Rewrite("https://shop.example/a/b", "http://10.1.2.4/")
    own = Rewrite("https://shop.example/", "http://127.0.0.1:1/")

    assert Policy([], [SHOP, longer]).target("https://shop.example/a/b/c").url == "http://10.1.2.4/c"
    assert Policy([], [longer, SHOP]).target("https://shop.example/a/bc").url == "http://10.1.2.3:9000/a/bc"
    assert Policy([], [SHOP]).target("https://shop.example/a", [own]).url == "http://127.0.0.1:1/a"
    assert Policy([], [longer]).target("https://shop.example/a/b", [own]).trusted


def test_a_rewrite_leads_on_once() -> None:
    policy = Policy([], [SHOP, Rewrite("http://10.1.2.3:9000/", "http://10.1.2.4/")])

    assert policy.target("https://shop.example/").url == "http://10.1.2.3:9000/"


@pytest.mark.parametrize(
    "text",
    ["", "=", "https://shop.example/", "https://shop.example/=", "=http://localhost/", "shop.example=http://localhost/",
     "https://shop.example/=localhost:9000", "https://shop.example/=ftp://localhost/", "ftp://a/=http://localhost/",
     "https://shop.example/?a=http://localhost/", "https://shop.example/=http://localhost/?a", "https://a/=http://b/#c",
     "https://user@a/=http://localhost/", "https://a/=http://0x7f.1/", "https://a/=http://a b/", "https://a/=http://"],
)  # fmt: skip
def test_an_invalid_rewrite_is_reported_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^.+$"):
        parse_rewrite(text)


@pytest.mark.parametrize("leads", ["http://localhost:9000/", "http://127.0.0.9/", "http://[::1]/", "http://receiver/"])
def test_an_org_may_rewrite_to_loopback_and_to_allowed_hosts(leads: str) -> None:
    policy, rewrite = Policy(["receiver"]), Rewrite("https://shop.example/", leads)

    policy.validate_rewrite(rewrite)
    target = policy.target("https://shop.example/", [rewrite])

    assert (target.url, target.trusted) == (leads, False)


@pytest.mark.parametrize("leads", ["http://10.1.2.3:9000/", "http://169.254.169.254/", "https://evil.example/"])
def test_an_org_may_not_rewrite_to_other_hosts_even_to_those_of_the_operator(leads: str) -> None:
    policy, rewrite = Policy([], [SHOP]), Rewrite("https://other.example/", leads)

    with pytest.raises(
        NotAllowed, match=r"^an org's rewrite must lead to loopback or to a host that the server allows, not to "
    ):
        policy.validate_rewrite(rewrite)
    assert "is not allowed" in rejection(policy, "https://other.example/", rewrite)


def test_an_orgs_rewrite_may_not_resolve_to_a_hidden_address() -> None:
    policy = Policy(["receiver"])
    target = policy.target("https://a.example/", [Rewrite("https://a.example/", "http://receiver/")])

    with pytest.raises(NotAllowed, match=r"--callback-allow 10\.0\.0\.1$"):
        policy.validate_address(target, "10.0.0.1")


# Plain http


@pytest.mark.parametrize(
    "url", ["http://localhost:9000/x", "http://a.localhost/", "HTTP://127.0.0.2/", "http://[::1]/"]
)
def test_plain_http_is_admitted_to_loopback_where_the_operator_says_so(url: str) -> None:
    assert Policy(allow_http=True).allows_http(url)
    assert not CLOSED.allows_http(url)


@pytest.mark.parametrize(
    "url",
    ["https://localhost/", "http://shop.example/", "http://10.0.0.1/", "http://0x7f.1/", "http://localhost@a/", "x"],
)
def test_plain_http_is_admitted_nowhere_else(url: str) -> None:
    assert not Policy(["shop.example", "10.0.0.0/8"], allow_http=True).allows_http(url)


# Whatever it is given

_HOSTS = st.sampled_from(
    ["localhost", "shop.example", "a.shop.example", "127.0.0.1", "10.1.2.3", "10.9.9.9", "8.8.8.8", "[::1]",
     "[fd00::1]", "0x7f.1", "2130706433", "[::ffff:10.9.9.9]", "169.254.169.254", "ⓛocalhost", "LOCALHOST."]
)  # fmt: skip
_PIECES = st.sampled_from([*"/@:?#.[]\\ \t。aÿ", "https://", "http://", "//", "..", "%2e", "%40", "%5c", ":80"])
_URLS = st.lists(st.one_of(_HOSTS, _PIECES), max_size=6).map(lambda parts: "https://" + "".join(parts))
_NETWORK = ip_network("10.1.0.0/16")


@given(_URLS)
@example("https://shop.example:80#@10.9.9.9/")
@example("https://10.9.9.9\\@shop.example/")
def test_no_other_host_is_ever_called(url: str) -> None:
    policy = Policy(["shop.example", str(_NETWORK)], [Rewrite("https://a.shop.example/", "http://10.7.7.7/in/")])

    with contextlib.suppress(NotAllowed):
        target = policy.target(url)
        called = URL(target.url, encoded=True)  # as the client that makes the call reads it

        assert (called.raw_host, called.port, called.user) == (target.host, target.port, None)
        assert target.url.isascii()
        if target.trusted:
            assert target.url.startswith("http://10.7.7.7/in/")
        elif target.host[-1].isdigit() or ":" in target.host:
            address = ip_address(target.host)
            assert address in _NETWORK or address.is_loopback
        else:
            assert target.host in ("localhost", "shop.example") or target.host.endswith(".localhost")


@given(
    st.one_of(
        st.ip_addresses(), st.ip_addresses(v=6, network="::ffff:0:0/96"), st.ip_addresses(v=6, network="2002::/16")
    )
)
def test_a_name_is_never_called_at_an_address_that_is_not_public(found: object) -> None:
    policy, address = Policy(["shop.example"]), ip_address(str(found))

    with contextlib.suppress(NotAllowed):
        policy.validate_address(policy.target("https://shop.example/"), str(address))

        assert address.is_global
        assert not address.is_multicast
        assert not isinstance(address, IPv6Address) or not (address.ipv4_mapped or address.sixtofour or address.teredo)
