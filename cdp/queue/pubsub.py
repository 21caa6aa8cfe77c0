"""Messages in Pub/Sub, for the gcp deployment; its subscriptions push them to the functions.

The client library sends them in batches, several at once, and repeats what failed for a moment.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from google.api_core import exceptions as api
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.pubsub_v1.publisher.exceptions import MessageTooLargeError

from cdp.domain.errors import CdpError, Unavailable
from cdp.queue.port import Queue, encode


class PubSubQueue(Queue):
    """The topics of one project. A message's id is Pub/Sub's own."""

    def __init__(self, publisher: PublisherClient, project: str) -> None:
        self._publisher = publisher
        self._project = project

    def publish(self, topic: str, messages: Sequence[Mapping[str, Any]]) -> list[str]:
        path = f"projects/{self._project}/topics/{topic}"
        bodies = [encode(message).encode() for message in messages]  # all, before one is sent
        with self._errors(topic):
            sent = [self._publisher.publish(path, body) for body in bodies]
            return [str(one.result()) for one in sent]

    @contextmanager
    def _errors(self, topic: str) -> Iterator[None]:
        """Tell the client's errors in words."""
        try:
            yield
        except api.NotFound:
            raise CdpError(
                f"there is no topic {topic!r} in the project {self._project!r}; create it with "
                f"`gcloud pubsub topics create {topic} --project={self._project}`, or set CDP_TOPIC"
            ) from None
        except api.Forbidden:
            raise CdpError(
                f"this account may not publish to the topic {topic!r} of {self._project!r}; grant "
                "it roles/pubsub.publisher there"
            ) from None
        except (api.Unauthenticated, GoogleAuthError) as error:
            raise CdpError(
                f"Google Cloud does not know who publishes ({type(error).__name__}); run "
                "`gcloud auth application-default login`, or attach a service account"
            ) from None
        except MessageTooLargeError:
            raise CdpError("a message is over 10 MB, more than Pub/Sub takes") from None
        except (api.ServerError, api.TooManyRequests, api.RetryError) as error:
            raise Unavailable(
                f"Pub/Sub did not take every message ({type(error).__name__}); send them again, "
                "and see https://status.cloud.google.com"
            ) from None
        except api.GoogleAPIError as error:
            raise CdpError(
                f"Pub/Sub refused a message ({type(error).__name__}); look for a schema or a "
                f"message storage policy of the topic {topic!r} that forbids it"
            ) from None
