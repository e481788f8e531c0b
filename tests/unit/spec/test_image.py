"""What is an image reference, by the table of the grammar's own implementation (distribution/reference)."""

import pytest

from libs.common.spec.model import Spec
from tests.support.specs import parse_spec
from tests.unit.spec.mistakes import VALID, changed, dotted, issues

SHA256 = "sha256:" + "f" * 64
SHA512 = "sha512:" + "0" * 128


@pytest.mark.parametrize(
    "image",
    [
        "app",
        "example/app:1.0",
        "test_com",
        "test.com:tag",
        "test.com:5000",
        "test.com/repo:tag",
        "test:5000/repo",
        "test:5000/repo:tag",
        f"test:5000/repo@{SHA256}",
        f"test:5000/repo:tag@{SHA256}",
        "lowercase:Uppercase",
        "a/" * 127 + "a:tag-puts-this-over-max",
        "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
        "b.gcr.io/test.example.com/my-app:test.example.com",
        "xn--n3h.com/myimage:xn--n3h.com",
        f"xn--7o8h.com/myimage:xn--7o8h.com@{SHA512}",
        "foo_bar.com:8080",
        "foo/foo_bar.com:8080",
        "foo/foo__bar/a---b",
        "192.168.1.1",
        "192.168.1.1:5000/repo",
        "[2001:db8::1]/repo",
        "[2001:db8::1]:5000/repo:tag",
        "localhost:5000/app",
        "app:_" + "t" * 127,
        "Uppercase.host/app",
    ],
)
def test_an_image_reference(image: str) -> None:
    assert parse_spec(changed("image", image)).image == image


@pytest.mark.parametrize(
    "image",
    [
        "",
        "file:///etc/passwd",
        "https://example.com/app",
        "docker://app",
        "/etc/passwd",
        "../app",
        "./app",
        "app/",
        "app//b",
        ":justtag",
        f"@{SHA256}",
        "repo@sha256:" + "f" * 34,
        "repo@md5:" + "f" * 32,
        f"repo@{SHA256[:-1]}G",
        "Uppercase:tag",
        "test:5000/Uppercase/lowercase:tag",
        "aa/asdf$$^/aa",
        "-foo/bar",
        "foo-/bar",
        "foo.com/-bar",
        "foo..bar/a",
        "a___b",
        "app:",
        "app:-tag",
        "app:" + "t" * 129,
        "app:tag:tag",
        "a b",
        "app\n",
        "app;id",
        "$(PORT)",
        "[2001:db8::1]",
        "[2001:db8::1]:tag",
        "[fe80::1%eth0]:5000/repo",
        "äpp",
        "a/" * 128 + "a:tag",
    ],
)
def test_anything_else_is_refused(image: str) -> None:
    (issue,) = issues(changed("image", image))
    assert dotted(issue) == "image"
    assert "image reference" in issue.message or "names a repository of 257 characters" in issue.message
    assert issue.allowed


def test_what_was_stored_before_stays_readable() -> None:
    stored = parse_spec(VALID).model_copy(update={"image": "file:///etc/passwd"})
    assert Spec.model_validate(stored.to_wire()).image == "file:///etc/passwd"
