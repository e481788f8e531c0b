"""Which numbers a spec may have: as a client writes it, and as it is read again, since an import brings specs
that no client wrote."""

from typing import Annotated

from pydantic import Field

from libs.common.spec.autoscaling import MAX_INT, MAX_REPLICAS

Port = Annotated[int, Field(ge=1, le=65535)]
Replicas = Annotated[int, Field(ge=0, le=MAX_REPLICAS)]
Count = Annotated[int, Field(ge=1, le=MAX_INT)]
Delay = Annotated[int, Field(ge=0, le=MAX_INT)]
"""In seconds."""
