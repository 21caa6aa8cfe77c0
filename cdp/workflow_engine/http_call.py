"""The default `http` handler, over requests. Source: "Make an HTTP request"."""

import json
from collections.abc import Callable
from typing import Any

import requests

from cdp.workflow_engine.errors import CallError

DEFAULT_TIMEOUT = 300.0
MAX_RESPONSE = 2 * 1024 * 1024

Http = Callable[[str, dict[str, Any]], dict[str, Any]]
TokenProvider = Callable[[dict[str, Any]], str]


def http_over_requests(token: TokenProvider | None = None) -> Http:
    """Return a handler of HTTP calls.

    Args:
        token: gives the bearer token for an `auth` map ({"type": "OIDC" | "OAuth2", ...});
            without it a call with `auth` is sent anonymously.

    The handler returns {"code", "headers", "body"}; a JSON body is decoded, text is a string,
    anything else bytes. It raises CallError for a status other than 2xx (HttpError), no
    connection (ConnectionFailedError), a broken one (ConnectionError), no answer in time
    (TimeoutError), a failing *token* (AuthError) and a response above 2 MB (ResourceLimitError).
    """

    def call(method: str, args: dict[str, Any]) -> dict[str, Any]:
        headers = {key: str(value) for key, value in args.get("headers", {}).items()}
        if token and "auth" in args:
            headers["Authorization"] = f"Bearer {_token(token, args['auth'])}"
        body = args.get("body")
        if body is not None and not isinstance(body, str | bytes):
            if not any(key.lower() == "content-type" for key in headers):
                headers["Content-Type"] = "application/json; charset=utf-8"
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode()
        query = {key: _query(value) for key, value in args.get("query", {}).items()}
        timeout = args.get("timeout", DEFAULT_TIMEOUT)
        return _send(method, args["url"], params=query, headers=headers, data=body, timeout=timeout)

    return call


def _send(method: str, url: str, *, timeout: float, **request: Any) -> dict[str, Any]:
    try:
        response = requests.request(method, url, timeout=timeout, **request)
    except requests.Timeout as error:
        raise CallError(None, f"TimeoutError: {method} {url}: {error}", ["TimeoutError"]) from error
    except requests.ConnectionError as error:
        # urllib3 wraps a connection that was never made in a NewConnectionError.
        never = "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)
        tags = ["ConnectionError", "ConnectionFailedError"] if never else ["ConnectionError"]
        raise CallError(None, f"{tags[-1]}: {method} {url}: {error}", tags) from error
    except requests.RequestException as error:
        if isinstance(error, ValueError):  # an URL that is none
            raise CallError(None, f"ValueError: {error}", ["ValueError"]) from error
        raise CallError(None, f"ConnectionError: {error}", ["ConnectionError"]) from error
    if len(response.content) > MAX_RESPONSE:
        message = f"ResourceLimitError: the response of {url} is above 2 MB"
        raise CallError(None, message, ["ResourceLimitError"])
    found = {"headers": dict(response.headers), "body": _body(response)}
    if not 200 <= response.status_code < 300:
        message = f"HTTP server responded with error code {response.status_code}"
        raise CallError(response.status_code, message, ["HttpError"], **found)
    return {"code": response.status_code, **found}


def _token(token: TokenProvider, auth: dict[str, Any]) -> str:
    try:
        return token(auth)
    except Exception as error:  # whatever a provider raises is AuthError to the workflow
        raise CallError(None, f"AuthError: {error}", ["AuthError"]) from error


def _query(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_query(item) for item in value] if isinstance(value, list) else value


def _body(response: requests.Response) -> Any:
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return response.json()
        except ValueError:
            return response.text
    textual = kind.startswith("text/") or kind in {"", "application/x-www-form-urlencoded"}
    if textual or kind.endswith("xml"):
        # Without a charset, requests assumes ISO 8859-1 for text; services mean UTF-8.
        declared = "charset" in response.headers.get("Content-Type", "").lower()
        charset = (declared and response.encoding) or "utf-8"
        return response.content.decode(charset, errors="replace")
    return response.content
