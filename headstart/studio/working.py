"""Routes: training, check-up and its fixes, the jobs that they start."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from headstart.studio import choices
from headstart.studio.state import Studio


class Training(BaseModel):
    """How to train."""

    time: str = Field("good", max_length=20)
    options: dict[str, str | int | None] = Field(default_factory=dict)


class Job(BaseModel):
    """A job."""

    job: str = Field(max_length=100)


class Fixed(BaseModel):
    """A finding and what to do about it."""

    finding: str = Field(max_length=100)
    action: Literal["delete", "move", "keep"]
    ids: list[str] | None = Field(None, max_length=100_000)


def routes(studio: Studio) -> APIRouter:
    """The routes of long work."""
    router = APIRouter(prefix="/api")

    @router.get("/choices")
    def offered() -> dict[str, Any]:
        return choices.offered()

    @router.post("/train")
    def train(given: Training) -> dict[str, Any]:
        return {"job": studio.train(given.time, dict(given.options))}

    @router.post("/jobs/cancel")
    def cancel(given: Job) -> dict[str, Any]:
        return {"job": studio.jobs.cancel(given.job).to_dict()}

    @router.get("/jobs/{key}")
    def job(key: str) -> dict[str, Any]:
        return studio.jobs.get(key).to_dict()

    @router.post("/checkup")
    def start_checkup() -> dict[str, Any]:
        return {"job": studio.look_over()}

    @router.get("/checkup")
    def checkup() -> dict[str, Any]:
        return studio.checkup()

    @router.post("/checkup/fix")
    def fix(given: Fixed) -> dict[str, Any]:
        undo = studio.findings.fix(given.finding, given.action, given.ids)
        return {"undo": undo, "version": studio.project.view.version}

    return router
