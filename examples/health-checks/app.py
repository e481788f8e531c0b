"""A model server with the three health checks: a FastAPI application whose model takes some seconds to load.

| request             | answers                                                                        |
|---------------------|--------------------------------------------------------------------------------|
| `GET /startup/`     | 503 until the model is loaded, then 200                                        |
| `GET /readiness/`   | the same, for as long as the replica lives                                     |
| `GET /liveness/`    | 200 as soon and as long as the process answers                                 |
| `POST /predict/`    | how friendly `{"text": ...}` sounds, and which replica says so                 |

Environment: `MODEL_VERSION` (1), `LOAD_SECONDS` (3); the platform sets `PORT` and `SPECSTREAM_REPLICA_ID`.
"""

import math
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException, Response, status
from pydantic import BaseModel

MODEL_VERSION = os.environ.get("MODEL_VERSION", "1")
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "3"))


class FriendlinessModel:
    """A logistic regression over a few words; its weights stand for a file that is slow to fetch."""

    def __init__(self):
        self.weights: dict[str, float] = {}
        self.loaded = threading.Event()

    def load(self, stop: threading.Event):
        """Runs in a thread of its own, so that the checks are answered meanwhile."""
        print(f"loading model version {MODEL_VERSION}", flush=True)
        if stop.wait(LOAD_SECONDS):
            return
        self.weights = {"good": 1.5, "great": 2.0, "thanks": 1.2, "bad": -1.6, "awful": -2.2, "no": -0.7}
        self.loaded.set()
        print(f"model version {MODEL_VERSION} is loaded", flush=True)

    def predict(self, text: str) -> float:
        """The probability that `text` is friendly."""
        words = (word.strip(".,!?") for word in text.lower().split())
        return 1 / (1 + math.exp(-sum(self.weights.get(word, 0.0) for word in words)))


class Prediction(BaseModel):
    text: str
    friendly: bool
    probability: float
    model_version: str
    replica_id: str | None
    pid: int


class Question(BaseModel):
    text: str = "this is a good day, thanks!"


model = FriendlinessModel()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    stop = threading.Event()
    loading = threading.Thread(target=model.load, args=(stop,), name="load")
    loading.start()
    yield
    stop.set()
    loading.join()


app = FastAPI(title="Health checks example", lifespan=lifespan)


@app.get("/startup/")
def startup_check(response: Response) -> str:
    if not model.loaded.is_set():
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return "Startup check failed: the model is not loaded yet."
    return "Startup check succeeded."


@app.get("/readiness/")
def readiness_check(response: Response) -> str:
    if not model.loaded.is_set():
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return "Readiness check failed: the model is not loaded yet."
    return "Readiness check succeeded."


@app.get("/liveness/")
def liveness_check() -> str:
    return "Liveness check succeeded."


@app.post("/predict/")
def predict(question: Question | None = None) -> Prediction:
    if not model.loaded.is_set():
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "the model is not loaded yet")
    text = (question or Question()).text
    probability = model.predict(text)
    return Prediction(
        text=text,
        friendly=probability >= 0.5,
        probability=round(probability, 4),
        model_version=MODEL_VERSION,
        replica_id=os.environ.get("SPECSTREAM_REPLICA_ID"),
        pid=os.getpid(),
    )


@app.get("/predict/")
def predict_from_a_browser(text: str = Question().text) -> Prediction:
    return predict(Question(text=text))


def main():
    # SIGTERM: uvicorn takes no new connection, finishes the requests that run, and ends.
    # An idle connection stays open: the proxy in front of the replicas decides when to close it.
    uvicorn.run(
        app,
        # A container is asked from elsewhere, so there it has to be 0.0.0.0.
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ["PORT"]),
        access_log=False,
        timeout_keep_alive=3600,
    )


if __name__ == "__main__":
    main()
