import json
import socket
import threading

import pytest

from cdp.workflow_engine import CallError, http_over_requests

JSON = {"Content-Type": "application/json; charset=utf-8"}


def failure(call):
    with pytest.raises(CallError) as caught:
        call()
    return caught.value.error


def test_a_json_answer_is_decoded(run, service):
    service.answers(200, '{"a": [1, "é"]}'.encode(), **JSON)
    text = f"""
    - g: {{call: http.get, args: {{url: '{service.url}/p'}}, result: r}}
    - d: {{return: "${{r}}"}}
    """
    found = run(text)
    assert (found["code"], found["body"]) == (200, {"a": [1, "é"]})
    assert found["headers"]["Content-Type"] == JSON["Content-Type"]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text/plain", "é".encode(), "é"),
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ("application/problem+json", b'{"a": 1}', {"a": 1}),
        ("application/json", b"{broken", "{broken"),
        ("application/octet-stream", b"\x00\xff", b"\x00\xff"),
    ],
)
def test_the_body_has_the_type_its_content_type_says(service, kind, body, expected):
    service.answers(200, body, **{"Content-Type": kind})
    assert http_over_requests()("GET", {"url": service.url})["body"] == expected


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete"])
def test_each_verb_sends_query_headers_and_a_json_body(run, service, verb):
    service.answers(200, b"")
    body = "" if verb == "get" else ", body: {n: [1, é]}"
    query = "query: {q: a b, l: [1, 2], t: true}"
    args = f"{{url: '{service.url}/p', {query}, headers: {{X-Y: z}}{body}}}"
    run(f"[{{c: {{call: http.{verb}, args: {args}}}}}]")
    request = service.requests[0]
    assert request["method"] == verb.upper()
    assert request["path"] == "/p?q=a+b&l=1&l=2&t=true"
    assert request["headers"]["X-Y"] == "z"
    if body:
        assert json.loads(request["body"]) == {"n": [1, "é"]}
        assert request["headers"]["Content-Type"] == "application/json; charset=utf-8"


def test_request_takes_its_method_and_text_stays_text(run, service):
    service.answers(200, b"")
    args = (
        f"{{method: put, url: '{service.url}', headers: {{Content-Type: text/csv}}, body: 'a,b'}}"
    )
    run(f"[{{c: {{call: http.request, args: {args}}}}}]")
    request = service.requests[0]
    assert (request["method"], request["body"]) == ("PUT", "a,b")
    assert request["headers"]["Content-Type"] == "text/csv"


@pytest.mark.parametrize("code", [304, 404, 500])
def test_a_status_other_than_2xx_raises_with_code_headers_and_body(run, service, code):
    service.answers(code, b"" if code == 304 else b'{"error": "no"}', **JSON)
    text = f"""
    - t:
        try: {{call: http.get, args: {{url: '{service.url}'}}}}
        except: {{as: e, steps: [{{r: {{return: "${{e}}"}}}}]}}
    """
    error = run(text)
    assert error["code"] == code
    assert error["tags"] == ["HttpError"]
    assert str(code) in error["message"]
    assert error["headers"]["Content-Type"] == JSON["Content-Type"]
    assert code == 304 or error["body"] == {"error": "no"}


def test_a_connection_that_is_not_made_is_a_connection_failed_error():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    error = failure(lambda: http_over_requests()("GET", {"url": url}))
    assert error["tags"] == ["ConnectionError", "ConnectionFailedError"]
    assert "code" not in error


def test_a_connection_that_breaks_is_a_connection_error():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        error = failure(lambda: http_over_requests()("GET", {"url": url}))
        thread.join()
    assert error["tags"] == ["ConnectionError"]


def test_no_answer_in_time_is_a_timeout_error():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        error = failure(lambda: http_over_requests()("GET", {"url": url, "timeout": 0.05}))
    assert error["tags"] == ["TimeoutError"]


def test_a_url_that_is_none_is_a_value_error():
    error = failure(lambda: http_over_requests()("GET", {"url": "no url"}))
    assert error["tags"] == ["ValueError"]


def test_a_response_above_2_mb_is_a_resource_limit_error(service):
    service.answers(200, b"x" * (2 * 1024 * 1024 + 1))
    error = failure(lambda: http_over_requests()("GET", {"url": service.url}))
    assert error["tags"] == ["ResourceLimitError"]


def test_auth_sends_the_token_of_the_provider_or_nothing(service):
    service.answers(200, b"")
    args = {"url": service.url, "auth": {"type": "OIDC", "audience": "a"}}
    http_over_requests()("GET", args)
    http_over_requests(lambda auth: f"{auth['type']}-{auth['audience']}")("GET", args)
    first, second = service.requests
    assert "Authorization" not in first["headers"]
    assert second["headers"]["Authorization"] == "Bearer OIDC-a"


def test_a_token_that_cannot_be_had_is_an_auth_error(service):
    def token(auth):
        raise RuntimeError("no credentials")

    args = {"url": service.url, "auth": {"type": "OAuth2"}}
    assert failure(lambda: http_over_requests(token)("GET", args))["tags"] == ["AuthError"]


def test_http_calls_go_to_the_handler_that_is_given(run):
    seen = []
    run.http = lambda method, args: seen.append((method, args)) or {"code": 200, "body": 1}
    run("[{c: {call: http.post, args: {url: u, body: {a: 1}}}}]")
    assert seen == [("POST", {"url": "u", "body": {"a": 1}})]
