"""The Python client as its users see it, against a service that answers from a script: `python3 -m unittest`."""

import json
import threading
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

from trialstream_client import Decision, MemoryStore, TrialstreamClient, Unit, id_of_name

CONTROL = "11111111-1111-5111-8111-111111111111"
TREATMENT = "22222222-2222-5222-8222-222222222222"
EXPERIMENT = "a1d1ba58-e9fa-5ca1-baba-5cc68a63d41f"
UNIT = Unit("user", "u1")

Answer = tuple[int, dict[str, str], Any]


class Request:
    """What the service was asked."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: Any) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body


class ScriptedService:
    """Records requests, and answers with what `answer` returns: status, headers, and a JSON body or an iterator of lines."""

    def __init__(self, answer: Callable[[Request, int], Answer]) -> None:
        self.requests: list[Request] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                length = int(self.headers.get("content-length", 0))
                content = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, json.loads(content) if content else None)
                service.requests.append(request)
                status, extra, body = answer(request, len(service.requests) - 1)
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                if isinstance(body, Iterator):
                    self.send_header("connection", "close")
                    self.end_headers()
                    for line in body:
                        self.wfile.write(line.encode())
                        self.wfile.flush()
                    self.close_connection = True
                    return
                text = b"" if body is None else json.dumps(body).encode()
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                # A client that is closed does not wait for answers.
                with suppress(BrokenPipeError):
                    self.wfile.write(text)

            do_GET = do_POST = _handle  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def definition(**overrides: object) -> dict[str, Any]:
    """A running experiment over users, two equal variants at full coverage, without any restriction."""
    return {
        "experiment_id": EXPERIMENT,
        "key": "checkout-button",
        "iteration": 1,
        "version": 1,
        "status": "running",
        "serving": {"mode": "as_assigned"},
        "unit_type": "user",
        "store_required": False,
        "coverage_basis_points": 10_000,
        "variants": [
            {
                "variant_id": CONTROL,
                "name": "control",
                "is_control": True,
                "allocation_basis_points": 5_000,
                "config": {},
            },
            {
                "variant_id": TREATMENT,
                "name": "treatment",
                "is_control": False,
                "allocation_basis_points": 5_000,
                "config": {"params": {"color": "green"}},
            },
        ],
        "targeting": None,
        "layer": None,
        "holdout": None,
        "forced_variants": {},
        "starts_at": None,
        "ends_at": None,
        **overrides,
    }


def store_required(**overrides: object) -> dict[str, Any]:
    """The same without ranges, as the service sends it once only stored rows count."""
    whole = definition(store_required=True, **overrides)
    del whole["coverage_basis_points"]
    for variant in whole["variants"]:
        del variant["allocation_basis_points"]
    return whole


def assigned(key: str = "checkout-button") -> dict[str, Any]:
    """An answer of the service with the treatment."""
    return {
        "experiment_id": EXPERIMENT,
        "experiment_key": key,
        "variant_id": TREATMENT,
        "variant_name": "treatment",
        "config": {"params": {"color": "green"}},
        "assigned_variant_id": TREATMENT,
        "reason": "assigned",
        "hash_bucket": 5_001,
        "source": "hashed",
    }


def message(news: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"id: {news['etag']}\nevent: change\ndata: {json.dumps(news)}\n\n"


class ClientTest(unittest.TestCase):
    """What all tests share."""

    def setUp(self) -> None:
        """Start with no errors."""
        self.errors: list[str] = []

    def serve(self, answer: Callable[[Request, int], Answer]) -> ScriptedService:
        """Start a service that ends with the test."""
        service = ScriptedService(answer)
        self.addCleanup(service.close)
        return service

    def client(self, **options: Any) -> TrialstreamClient:
        """Create a client that ends with the test."""
        options.setdefault("on_error", lambda kind, error: self.errors.append(f"{kind}: {error}"))
        client = TrialstreamClient(api_key="key", **options)
        self.addCleanup(client.close)
        return client

    def local(self, *definitions: dict[str, Any], **options: Any) -> TrialstreamClient:
        """Create a client that knows these definitions."""
        return self.client(definitions={"etag": "", "experiments": list(definitions)}, **options)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition."""
        end = time.monotonic() + 20
        while not holds():
            self.assertLess(time.monotonic(), end, f"waited in vain; errors: {self.errors}")
            time.sleep(0.01)


class DecisionsTest(ClientTest):
    """Decisions here and by the service."""

    def test_remote_mode_asks_the_service_with_unit_context_and_key(self) -> None:
        service = self.serve(lambda _request, _index: (200, {}, {"assignments": [assigned()], "not_assigned": []}))
        client = self.client(assignment_url=service.url, mode="remote")
        decision = client.assign("checkout-button", Unit("user", "u1", {"country": "DE"}))
        self.assertEqual(
            (decision.variant_name, decision.params, decision.origin), ("treatment", {"color": "green"}, "remote")
        )
        request = service.requests[0]
        self.assertEqual((request.path, request.headers["authorization"]), ("/v1/assignments", "Bearer key"))
        self.assertEqual(
            request.body,
            {
                "unit_type": "user",
                "unit_id": "u1",
                "context": {"country": "DE"},
                "requested_experiments": ["checkout-button"],
            },
        )

    def test_an_unknown_experiment_does_not_keep_the_others_from_being_answered(self) -> None:
        def answer(request: Request, _index: int) -> Answer:
            keys = request.body["requested_experiments"]
            unknown = [position for position, key in enumerate(keys) if key.startswith("unknown")]
            if not unknown:
                return 200, {}, {"assignments": [assigned(key) for key in keys], "not_assigned": []}
            field = f"requested_experiments[{unknown[0]}]"
            return 400, {}, {"code": "unknown-experiment", "field": field, "message": ""}

        client = self.client(assignment_url=self.serve(answer).url, mode="remote")
        decisions = client.assign_all(UNIT, ["unknown-1", "known", "unknown-2"])
        reasons = {key: decision.reason for key, decision in decisions.items()}
        self.assertEqual(
            reasons, {"unknown-1": "unknown-experiment", "known": "assigned", "unknown-2": "unknown-experiment"}
        )
        self.assertEqual(self.errors, [])

    def test_without_the_service_a_unit_gets_the_default_and_the_error_is_reported(self) -> None:
        service = self.serve(lambda _request, _index: (503, {}, {"code": "unavailable", "message": "Postgres is away"}))
        client = self.client(assignment_url=service.url, mode="remote")
        self.assertEqual(client.assign("any", UNIT).reason, "unavailable")
        self.assertEqual(self.errors, ["assignment: assignments were answered with 503: Postgres is away"])
        nobody = self.client(assignment_url="http://127.0.0.1:1", mode="remote")
        self.assertEqual(nobody.assign("any", UNIT).variant_id, None)

    def test_local_mode_asks_only_for_what_it_cannot_decide_in_one_request_and_remembers_the_answer(self) -> None:
        def answer(request: Request, _index: int) -> Answer:
            if request.method == "GET":
                return 503, {}, {}
            paused = {"experiment_id": "x", "experiment_key": "paused", "reason": "paused", "assigned_variant_id": None}
            return 200, {}, {"assignments": [assigned("stored")], "not_assigned": [paused]}

        service = self.serve(answer)
        known = [
            definition(),
            store_required(key="stored"),
            definition(key="paused", status="paused", experiment_id="x"),
        ]
        client = self.local(*known, assignment_url=service.url)
        decisions = client.assign_all(UNIT, ["checkout-button", "stored", "paused"])
        asked = [request.body["requested_experiments"] for request in service.requests if request.method == "POST"]
        self.assertEqual(asked, [["stored", "paused"]])
        self.assertEqual((decisions["stored"].variant_id, decisions["paused"].reason), (TREATMENT, "paused"))
        again = client.evaluate("stored", UNIT)
        self.assertEqual((again.variant_id, again.origin), (TREATMENT, "sticky"))

    def test_without_keys_all_experiments_that_enroll_or_deliver_are_decided(self) -> None:
        client = self.local(
            definition(key="running"),
            definition(key="won", status="completed", serving={"mode": "all_to", "variant_id": CONTROL}),
            definition(key="over", status="completed", serving={"mode": "off"}),
            definition(key="of others", unit_type="device"),
        )
        reasons = {key: decision.reason for key, decision in client.assign_all(UNIT).items()}
        self.assertEqual(reasons, {"running": "assigned", "won": "all-to"})

    def test_a_condition_that_python_cannot_evaluate_exactly_is_left_to_the_service(self) -> None:
        service = self.serve(
            lambda request, _index: (
                (503, {}, {})
                if request.method == "GET"
                else (200, {}, {"assignments": [assigned()], "not_assigned": []})
            )
        )
        client = self.local(definition(targeting={"name": {"$regex": "(a)\\1"}}), assignment_url=service.url)
        self.assertEqual(client.evaluate("checkout-button", UNIT).reason, "store-required")
        self.assertEqual(client.assign("checkout-button", UNIT).origin, "remote")

    def test_a_unit_keeps_its_variant_when_enrolment_closes_or_targeting_does_not_admit_it_any_more(self) -> None:
        store = MemoryStore()
        before = self.local(definition(), sticky_store=store).evaluate("checkout-button", UNIT)
        for change in ({"status": "paused"}, {"targeting": {"country": "DE"}}):
            later = self.local(definition(**change), sticky_store=store).evaluate("checkout-button", UNIT)
            self.assertEqual((later.variant_id, later.reason, later.origin), (before.variant_id, "assigned", "sticky"))
        new_iteration = definition(experiment_id="b0fe0d59-e331-5bb3-869e-a76ed6ce6695")
        self.assertEqual(
            self.local(new_iteration, sticky_store=store).evaluate("checkout-button", UNIT).origin, "local"
        )

    def test_where_stored_rows_count_what_was_decided_here_is_not_believed(self) -> None:
        store = MemoryStore()
        self.local(definition(), sticky_store=store).evaluate("checkout-button", UNIT)
        decision = self.local(store_required(), sticky_store=store).evaluate("checkout-button", UNIT)
        self.assertEqual((decision.variant_id, decision.reason), (None, "store-required"))

    def test_a_store_that_raises_is_reported_and_not_needed(self) -> None:
        class Broken:
            def get(self, _key: str) -> str:
                return "nonsense"

            def set(self, _key: str, _value: str) -> None:
                raise OSError("full")

        decision = self.local(definition(), sticky_store=Broken()).evaluate("checkout-button", UNIT)
        self.assertEqual((decision.reason, decision.origin), ("assigned", "local"))
        self.assertEqual(len(self.errors), 2)

    def test_the_memory_store_forgets_what_was_written_longest_ago(self) -> None:
        store = MemoryStore(2)
        for name in ("a", "b", "a", "c"):
            store.set(name, name)
        self.assertEqual([store.get(name) for name in ("a", "b", "c")], ["a", None, "c"])

    def test_a_definition_that_cannot_be_read_does_not_keep_the_others_from_being_served(self) -> None:
        broken = [definition(key="broken", coverage_basis_points=20_000), {"key": "empty"}]
        client = self.local(*broken, definition())
        self.assertEqual(client.evaluate("checkout-button", UNIT).reason, "assigned")
        self.assertEqual(client.evaluate("broken", UNIT).reason, "unknown-experiment")
        self.assertEqual(len(self.errors), 2)

    def test_an_address_that_is_none_is_refused_at_once(self) -> None:
        with self.assertRaisesRegex(ValueError, "not the address of a service"):
            TrialstreamClient(assignment_url="assignments.example.com")


class DefinitionsTest(ClientTest):
    """How definitions are kept up to date."""

    def test_definitions_follow_the_stream_and_are_asked_for_again_after_a_missed_change(self) -> None:
        held: Queue[None] = Queue()
        self.addCleanup(held.put, None)

        def lines(index: int) -> Iterator[str]:
            following = definition(key="next")
            if index == 0:
                yield ": alive\n\n"
                yield message({"etag": "one", "experiments": [definition()]})
                removed = ["checkout-button"]
                yield message({"from": "one", "etag": "two", "experiments": [following], "removed": removed})
                yield message({"from": "not seen", "etag": "four", "experiments": [], "removed": ["next"]})
            else:
                yield message({"etag": "four", "experiments": []})
                held.get()

        service = self.serve(lambda _request, index: (200, {"content-type": "text/event-stream"}, lines(index)))
        client = self.client(assignment_url=service.url)
        self.assertTrue(client.ready(20))
        self.until(lambda: len(service.requests) == 2)
        self.until(lambda: client.evaluate("next", UNIT).reason == "unknown-experiment")
        self.assertEqual(self.errors, ["definitions: a change of the definitions was missed"])
        self.assertEqual(service.requests[0].path, "/v1/definitions/stream")
        self.assertNotIn("if-none-match", service.requests[1].headers)

    def test_a_stream_that_ends_is_opened_again_with_the_known_state(self) -> None:
        held: Queue[None] = Queue()
        self.addCleanup(held.put, None)

        def lines(index: int) -> Iterator[str]:
            yield message({"etag": "one", "experiments": [definition()]}) if index == 0 else ": unchanged\n\n"
            if index > 0:
                held.get()

        service = self.serve(lambda _request, index: (200, {}, lines(index)))
        client = self.client(assignment_url=service.url)
        self.until(lambda: len(service.requests) == 2)
        self.assertEqual(service.requests[1].headers["if-none-match"], '"one"')
        self.assertEqual(client.evaluate("checkout-button", UNIT).reason, "assigned")

    def test_closing_ends_a_stream_at_once(self) -> None:
        held: Queue[None] = Queue()
        self.addCleanup(held.put, None)

        def lines() -> Iterator[str]:
            yield message({"etag": "one", "experiments": []})
            held.get()

        client = self.client(assignment_url=self.serve(lambda _request, _index: (200, {}, lines())).url)
        self.assertTrue(client.ready(20))
        threads = [thread for thread in threading.enumerate() if thread.name == "trialstream-definitions"]
        client.close()
        self.assertFalse(any(thread.is_alive() for thread in threads))
        self.assertEqual(self.errors, [])

    def test_polling_sends_the_entity_tag_and_takes_what_changed(self) -> None:
        def answer(request: Request, index: int) -> Answer:
            if index == 0:
                return 200, {}, {"etag": "one", "experiments": [definition()]}
            if request.headers.get("if-none-match") == '"one"' and index < 3:
                return 304, {}, None
            return 200, {}, {"etag": "two", "experiments": [definition(key="other")]}

        service = self.serve(answer)
        client = self.client(assignment_url=service.url, poll_interval_s=0.01)
        self.until(lambda: client.evaluate("other", UNIT).reason == "assigned")
        self.assertEqual(client.evaluate("checkout-button", UNIT).reason, "unknown-experiment")
        self.assertEqual((service.requests[1].path, self.errors), ("/v1/definitions", []))


class EventsTest(ClientTest):
    """What is sent, and how it is delivered."""

    NOW = datetime(2026, 5, 1, 10, tzinfo=UTC).timestamp()

    def start(
        self, answer: Callable[[Request, int], Answer], **options: Any
    ) -> tuple[TrialstreamClient, ScriptedService]:
        """Start a client that sends events to a service of its own."""
        service = self.serve(answer)
        options = {"flush_interval_s": 0.01, "now": lambda: self.NOW, **options}
        return self.local(definition(), ingestion_url=service.url, **options), service

    @staticmethod
    def accept(_request: Request, _index: int) -> Answer:
        """Accept all events."""
        return 202, {}, {"accepted": 1, "rejected": 0, "results": []}

    def sent(self, service: ScriptedService) -> list[list[str]]:
        """The units of each request's events."""
        return [[event["unit_id"] for event in request.body["events"]] for request in service.requests]

    def test_an_exposure_has_an_id_that_every_client_derives_alike_and_is_sent_once_a_day(self) -> None:
        client, service = self.start(self.accept)
        decision = client.evaluate("checkout-button", Unit("user", "u/1"))
        self.assertEqual([client.expose(decision, {"page": "cart"}), client.expose(decision)], [True, False])
        self.assertEqual(client.flush(), 0)
        name = f"exposure/{EXPERIMENT}/{decision.variant_id}/2026-05-01/user/u/1"
        self.assertEqual(
            service.requests[0].body,
            {
                "events": [
                    {
                        "event_id": id_of_name(name),
                        "event_type": "exposure",
                        "unit_type": "user",
                        "unit_id": "u/1",
                        "experiments": [{"experiment_id": EXPERIMENT, "variant_id": decision.variant_id}],
                        "context": {"page": "cart"},
                        "timestamp": "2026-05-01T10:00:00.000Z",
                    }
                ]
            },
        )
        self.assertEqual(service.requests[0].headers["authorization"], "Bearer key")

    def test_nothing_is_exposed_without_a_variant_by_test_units_or_while_one_variant_is_served_to_all(self) -> None:
        for restriction in (
            {"coverage_basis_points": 0},
            {"forced_variants": {"u1": CONTROL}},
            {"serving": {"mode": "all_to", "variant_id": CONTROL}},
        ):
            client = self.local(definition(**restriction), ingestion_url="http://127.0.0.1:1")
            self.assertFalse(client.expose(client.evaluate("checkout-button", UNIT)))

    def test_events_carry_metrics_payload_and_the_decisions_that_count(self) -> None:
        client, service = self.start(self.accept)
        decision = client.evaluate("checkout-button", UNIT)
        none = Decision("other", UNIT, "off")
        event_id = client.track("purchase", UNIT, decisions=[decision, none], metrics={"revenue": 9.5}, payload=[1])
        self.assertEqual(client.flush(), 0)
        event = service.requests[0].body["events"][0]
        self.assertEqual((event["event_id"], event["metrics"], event["payload"]), (event_id, {"revenue": 9.5}, [1]))
        self.assertEqual(
            event["experiments"], [{"experiment_id": EXPERIMENT, "variant_id": decision.assigned_variant_id}]
        )

    def test_what_is_not_an_event_is_refused_at_once(self) -> None:
        client, _service = self.start(self.accept)
        with self.assertRaises(ValueError):
            client.track("purchase", UNIT, metrics={"revenue": float("nan")})
        with self.assertRaises(TypeError):
            client.track("purchase", UNIT, payload={1, 2})
        with self.assertRaisesRegex(ValueError, "needs its timestamp"):
            client.track("purchase", UNIT, event_id=TREATMENT)
        with self.assertRaisesRegex(ValueError, "needs a zone"):
            client.track("purchase", UNIT, timestamp=datetime(2026, 5, 1))
        with self.assertRaisesRegex(ValueError, "need ingestion_url"):
            self.local(definition()).track("purchase", UNIT)

    def test_events_share_requests_up_to_the_batch_size(self) -> None:
        client, service = self.start(self.accept, max_batch_events=2, flush_interval_s=60)
        for unit_id in ("a", "b", "c"):
            client.track("view", Unit("user", unit_id))
        self.assertEqual(client.flush(), 0)
        self.assertEqual(self.sent(service), [["a", "b"], ["c"]])

    def test_what_was_not_delivered_is_sent_again_unchanged_after_the_pause_that_the_service_asks_for(self) -> None:
        def answer(request: Request, index: int) -> Answer:
            busy = 503, {"retry-after": "1"}, {"message": "Kafka is away"}
            return busy if index == 0 else self.accept(request, index)

        client, service = self.start(answer)
        started = time.monotonic()
        client.track("view", UNIT)
        self.until(lambda: len(service.requests) == 2)
        self.assertGreaterEqual(time.monotonic() - started, 1)
        self.until(lambda: client.flush() == 0)
        self.assertEqual(service.requests[0].body, service.requests[1].body)
        self.assertEqual(self.errors, ["event: events were answered with 503: Kafka is away"])

    def test_what_is_refused_for_good_is_reported_and_not_sent_again(self) -> None:
        results = [{"index": 1, "status": "rejected", "code": "unknown-variant", "message": "is not a variant"}]
        refused = {"accepted": 1, "rejected": 1, "results": results}
        client, service = self.start(lambda _request, _index: (207, {}, refused), flush_interval_s=60)
        for unit_id in ("a", "b"):
            client.track("view", Unit("user", unit_id))
        self.assertEqual(client.flush(), 0)
        self.assertEqual(self.sent(service), [["a", "b"]])
        self.assertEqual(self.errors, ["event: events were answered with 207: is not a variant"])

    def test_a_batch_that_is_too_large_is_sent_in_halves_and_only_what_is_too_large_alone_is_given_up(self) -> None:
        def answer(request: Request, index: int) -> Answer:
            events = request.body["events"]
            is_too_large = len(events) > 1 or events[0]["unit_id"] == "large"
            return (413, {}, {"message": "is too large"}) if is_too_large else self.accept(request, index)

        client, service = self.start(answer, flush_interval_s=60)
        for unit_id in ("a", "large", "b"):
            client.track("view", Unit("user", unit_id))
        self.assertEqual(client.flush(), 0)
        self.assertEqual(self.sent(service), [["a", "large", "b"], ["a"], ["large"], ["b"]])
        self.assertEqual(self.errors, ["event: events were answered with 413: is too large"])

    def test_the_queue_is_bounded_and_a_client_that_is_closed_says_what_it_could_not_deliver(self) -> None:
        client, _service = self.start(lambda _request, _index: (503, {}, {}), max_queued_events=1, flush_interval_s=60)
        client.track("view", UNIT)
        client.track("view", UNIT)
        self.assertEqual(self.errors, ["event: 1 events wait already; one was given up"])
        client.close()
        self.assertEqual(self.errors[-1], "event: 1 events are not delivered")
        with self.assertRaisesRegex(ValueError, "closed"):
            client.track("view", UNIT)

    def test_an_exposure_that_found_no_room_is_not_taken_for_sent(self) -> None:
        client, service = self.start(self.accept, max_queued_events=1, flush_interval_s=60)
        client.track("view", Unit("user", "first"))
        decision = client.evaluate("checkout-button", UNIT)
        self.assertFalse(client.expose(decision))
        client.flush()
        self.assertTrue(client.expose(decision))
        client.flush()
        self.assertEqual(self.sent(service), [["first"], ["u1"]])

    def test_a_connection_that_the_service_has_closed_meanwhile_is_replaced(self) -> None:
        client, service = self.start(
            lambda request, index: (202, {"connection": "close"}, self.accept(request, index)[2]), flush_interval_s=60
        )
        for _ in range(3):
            client.track("view", UNIT)
            self.assertEqual(client.flush(), 0)
        self.assertEqual((len(service.requests), self.errors), (3, []))

    def test_events_leave_without_a_flush(self) -> None:
        client, service = self.start(self.accept)
        client.track("view", UNIT)
        self.until(lambda: len(service.requests) == 1)
        self.assertEqual(self.errors, [])


if __name__ == "__main__":
    unittest.main()
