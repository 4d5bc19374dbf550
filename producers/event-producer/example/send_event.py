"""Example: a service in another language writes its events straight to the topic, with a plain Kafka client."""

import io
import json
import os
import sys
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from typing import Any

import fastavro
from confluent_kafka import Producer

SERVICE = "checkout-example-python"
# Of this service alone: the same order is the same event, however often it is sent.
ORDERS_NAMESPACE = uuid.UUID("0b3e6a52-6d0a-4c5e-9a6c-2f5d7b1c8e94")


def setting(name: str) -> str:
    """Read a setting that has no default."""
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{SERVICE}: {name} is not set")
    return value


def find_schema(registry: str, subject: str) -> tuple[int, Any]:
    """Get the registered schema of a subject; deployment registers schemas, producers never do."""
    with urllib.request.urlopen(f"{registry}/subjects/{subject}/versions/latest", timeout=10) as answer:
        found = json.load(answer)
    return int(found["id"]), fastavro.parse_schema(json.loads(found["schema"]))


def encode(schema_id: int, schema: Any, event: dict[str, Any]) -> bytes:
    """Encode in the Confluent wire format: a zero byte, the schema id in four bytes, Avro."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, event, strict=True)
    return b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()


def main() -> None:
    """Send one purchase: arguments are user id, order id and time of the order."""
    user_id, order_id, ordered_at = sys.argv[1:] or ["user-42", "order-1001", "2026-02-03T04:05:06Z"]
    namespace = os.environ.get("KAFKA_NAMESPACE")
    topic = f"{namespace}.exp.events.v1" if namespace else "exp.events.v1"
    schema_id, schema = find_schema(setting("SCHEMA_REGISTRY_URL"), f"{topic}-value")
    event = {
        "event_id": str(uuid.uuid5(ORDERS_NAMESPACE, order_id)),
        "event_type": "purchase",
        "unit_type": "user",
        "unit_id": user_id,
        "experiments": [],
        "context": {"country": "NO"},
        "metrics": {"revenue": 19.9},
        "payload": None,
        "event_time": datetime.fromisoformat(ordered_at).astimezone(UTC),
        "ingest_time": datetime.fromtimestamp(time.time(), UTC),
        "producer": SERVICE,
    }
    producer = Producer(
        {
            "bootstrap.servers": setting("KAFKA_BROKERS"),
            "enable.idempotence": True,
            "acks": "all",
            # The default of this client places keys elsewhere than Kafka's own: a unit's events would not stay in order.
            "partitioner": "murmur2_random",
            "delivery.timeout.ms": 10_000,
        }
    )
    failures: list[str] = []
    producer.produce(
        topic,
        # One unit's events share a partition.
        key=f"{event['unit_type']}:{event['unit_id']}".encode(),
        value=encode(schema_id, schema, event),
        on_delivery=lambda error, _: failures.append(str(error)) if error else None,
    )
    # After a failure nobody knows whether Kafka has it: sending the same event again is safe.
    if producer.flush(15) > 0 or failures:
        sys.exit(f"{SERVICE}: not acknowledged: {'; '.join(failures) or 'no answer in time'}")
    print(f"acknowledged {event['event_id']}")


main()
