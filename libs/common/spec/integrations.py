"""The integrations of a spec as a client writes them: checked, not carried out yet."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from libs.common.spec.text import BUCKET_URL, FOLDER_NAME, FOLDER_PATH, HTTP_URL, Line, SecretReference

ABSENT: Any = None
"""The default of a field that may be left out, but may not be null."""

FolderPath = Annotated[str, Field(max_length=4096, pattern=FOLDER_PATH)]
HttpUrl = Annotated[str, Field(max_length=4096, pattern=HTTP_URL)]


class Input(BaseModel):
    """A part of a spec as it was sent: camel case, nothing converted, no unknown fields."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True
    )


class Integration(Input):
    name: str = Field(max_length=255, pattern=FOLDER_NAME, description="Folder made under `path`.")
    read_only: bool = Field(default=True, description="Mounted read-only unless this is false.")


class ModelIntegration(Integration):
    """A registered model."""

    type: Literal["model"]
    id: Line
    path: FolderPath = "/opt/models"


class S3Integration(Integration):
    """An S3 or S3-compatible bucket; a private one needs both keys."""

    type: Literal["s3"]
    url: str = Field(max_length=4096, pattern=BUCKET_URL)
    path: FolderPath = ABSENT
    region: Line = ABSENT
    endpoint: HttpUrl = ABSENT
    access_key_id: Line = ABSENT
    secret_access_key: SecretReference = ABSENT


class SpacesIntegration(Integration):
    """A DigitalOcean Space; both spellings of the type are accepted."""

    type: Literal["spaces", "do-spaces"]
    endpoint: HttpUrl
    path: FolderPath = ABSENT
    access_key_id: Line = ABSENT
    secret_access_key: SecretReference = ABSENT


class GitLfsIntegration(Integration):
    """A git repository with large files; a private one needs `username` and `password`."""

    type: Literal["git-lfs"]
    url: HttpUrl
    path: FolderPath = ABSENT
    username: Line = ABSENT
    password: SecretReference = ABSENT


class VolumeIntegration(Integration):
    """A volume of its own, claimed by `name`."""

    type: Literal["volume"]
    path: FolderPath = ABSENT


AnyIntegration = Annotated[
    ModelIntegration | S3Integration | SpacesIntegration | GitLfsIntegration | VolumeIntegration,
    Field(discriminator="type"),
]
MAX_INTEGRATIONS = 5
