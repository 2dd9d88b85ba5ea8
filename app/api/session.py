"""`/session`: exchanges a key for a session cookie that scripts cannot read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from starlette.datastructures import Headers

from app.api.dependencies import AppStateDep, no_query
from app.http.problems import responses
from app.security.keys import COOKIE, SESSION_SECONDS, Caller, caller_of, session_token
from models.config.values import Frozen

router = APIRouter(prefix="/session", tags=["session"], dependencies=[Depends(no_query)])


class SignIn(Frozen):
    """A key, as printed by `atelier keys add`."""

    key: Annotated[str, Field(min_length=1, max_length=200)]


class SessionView(BaseModel):
    """Whether keys are required, and the caller's name and scopes."""

    required: bool
    name: str | None
    scopes: list[str]


@router.get("", summary="Who am I?")
def get_session(request: Request, app_state: AppStateDep) -> SessionView:
    """Return whether keys are required, and the caller's scopes."""
    return _view(caller_of(request), required=app_state.authenticator.required)


@router.post("", summary="Sign in", responses=responses(401, 503))
def sign_in(body: SignIn, request: Request, app_state: AppStateDep, response: Response) -> SessionView:
    """Exchange a key for a session cookie, which expires after a week or when the service stops."""
    if not app_state.authenticator.required:
        return _view(caller_of(request), required=False)
    token, caller = app_state.authenticator.open_session(body.key)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return _view(caller, required=True)


@router.delete("", status_code=204, summary="Sign out")
def sign_out(request: Request, app_state: AppStateDep, response: Response) -> None:
    """End the session, if there is one."""
    if (token := session_token(Headers(scope=request.scope))) is not None:
        app_state.authenticator.close_session(token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _view(caller: Caller | None, *, required: bool) -> SessionView:
    return SessionView(
        required=required, name=caller.name if caller else None, scopes=sorted(caller.scopes) if caller else []
    )
