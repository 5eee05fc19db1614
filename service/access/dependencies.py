"""What routes of keys and sessions ask for by type: who may do what."""

from typing import Annotated

from fastapi import Depends, Request

from service.access.who import Access


async def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


AccessDep = Annotated[Access, Depends(_access)]
