"""Which text may stand where: a pattern for each kind, and how to say in words what it admits.

Lone surrogates are refused everywhere by pydantic itself. Nothing is normalised or stripped: what is
accepted is kept code point by code point.
"""

from typing import Annotated

from pydantic import Field

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_LABELS = rf"{_LABEL}(\.{_LABEL})*"

LINE = rf"^[^{_CONTROL}]*$"
TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
ENV_NAME = rf"^[^={_CONTROL}]+$"
RESERVED_VARIABLE = r"(?s:PORT(_[0-9]+)?|SPECSTREAM_.*)"
"""A variable that the platform sets; by one of them a process is told to be a replica's."""
_DOMAIN_PART = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"({_DOMAIN_PART}(\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(:[0-9]+)?"
_PATH_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})"
IMAGE = rf"^({_DOMAIN}/)?{_PATH_PART}(/{_PATH_PART})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@{_DIGEST})?$"
"""`[host[:port]/]path[:tag][@digest]`, as container runtimes read it."""
PROBE_PATH = rf"^/[^\s\\{_CONTROL}]*$"
HOST_NAME = rf"^{_LABELS}$"
HOST = rf"^({_LABELS}|\[[a-fA-F0-9:.]+\])(:[0-9]{{1,5}})?$"
"""What a Host header says."""
HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
HEADER_VALUE = r"^[\x20-\x7e]*$"
FOLDER_NAME = rf"^[^/{_CONTROL}]+$"
FOLDER_PATH = rf"^/[^{_CONTROL}]*$"
BUCKET_URL = rf"^s3://[^/\s{_CONTROL}]+(/[^\s{_CONTROL}]*)?$"
HTTP_URL = rf"^https?://[^/\s{_CONTROL}]+(/[^\s{_CONTROL}]*)?$"
REFERENCE = r"^[sS][eE][cC][rR][eE][tT]:[a-zA-Z][a-zA-Z0-9_]{0,127}$"

MACHINE_TYPE = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
MAX_MACHINE_TYPE = 63
OBJECT_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
QUALIFIED_NAME = (
    r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$"

HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers about the connection and the framing of a message. A check cannot have them: it sends one request
without a body on a connection of its own."""

IN_WORDS = {
    MACHINE_TYPE: "letters, digits, `.`, `_` and `-`, with a letter or digit at both ends",
    OBJECT_NAME: "the name of a Kubernetes object: lower case letters, digits, `-` and `.`",
    QUALIFIED_NAME: "a key of Kubernetes: [domain/]name, the name of at most 63 characters",
    LABEL_VALUE: "the value of a label: letters, digits, `.`, `_` and `-`, at most 63",
    LINE: "text without NUL or control characters",
    TEXT: "text without NUL or control characters other than tab and newline",
    ENV_NAME: "a name without `=`, NUL or control characters",
    IMAGE: "an image reference: [host[:port]/]path[:tag][@digest], the path in lower case",
    PROBE_PATH: "a path that starts with `/`, without whitespace, control characters or backslash",
    HOST_NAME: "a host name without a port",
    HEADER_NAME: "an HTTP token: letters, digits and !#$%&'*+.^_`|~-",
    HEADER_VALUE: "printable ASCII on one line",
    FOLDER_NAME: "a name without `/` or control characters",
    FOLDER_PATH: "an absolute path without control characters",
    BUCKET_URL: "an address like s3://bucket/",
    HTTP_URL: "an address that starts with http:// or https://",
    REFERENCE: "secret:NAME, where NAME is a letter, then up to 127 letters, digits or _",
}
"""What each pattern admits, for error messages."""

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=LINE)]
"""The name of a deployment or a project: 1 to 200 code points, no control characters."""

Line = Annotated[str, Field(min_length=1, max_length=8192, pattern=LINE)]
"""One non-empty line."""

SecretReference = Annotated[str, Field(pattern=REFERENCE)]


def is_secret_reference(text: str) -> bool:
    """Whether a value asks for a secret instead of being one; the prefix is case-insensitive."""
    return text[:7].lower() == "secret:"
