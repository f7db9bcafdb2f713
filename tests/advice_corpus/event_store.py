"""An event store: streams with versions, documents, an outbox and projections."""

from tests.advice_corpus.models import Schema, small_tables

TABLES = """
CREATE TABLE streams (id uuid PRIMARY KEY, kind text NOT NULL, version int NOT NULL);
INSERT INTO streams SELECT md5(n::text)::uuid, 'order', 30 FROM generate_series(1, 3000) n;

CREATE TABLE events (position bigint NOT NULL, stream_id uuid NOT NULL, version int NOT NULL,
  type text NOT NULL, data jsonb NOT NULL, meta jsonb, correlation_id uuid,
  occurred_at timestamptz NOT NULL);
INSERT INTO events SELECT n, md5((1 + n % 3000)::text)::uuid, 1 + n / 3000,
  CASE WHEN n % 4000 = 0 THEN 'order_disputed'
    ELSE (ARRAY['order_placed', 'order_paid', 'order_sent'])[1 + n % 3] END,
  jsonb_build_object('n', n % 5000, 'sku', n % 300), NULL, md5((n / 4)::text)::uuid,
  timestamptz '2025-01-01' + n * interval '2 min' FROM generate_series(1, 60000) n;
ALTER TABLE events ADD PRIMARY KEY (position),
  ADD CONSTRAINT events_stream FOREIGN KEY (stream_id) REFERENCES streams,
  ADD CONSTRAINT events_stream_version_key UNIQUE (stream_id, version);
CREATE INDEX events_stream_idx ON events (stream_id, version);
CREATE INDEX events_type ON events (type);
CREATE INDEX events_type_position ON events (type, position);
CREATE INDEX events_data ON events USING gin (data jsonb_path_ops);
CREATE INDEX events_data_keys ON events USING gin (data);
CREATE INDEX events_sku ON events ((data ->> 'sku'));
CREATE INDEX events_correlation ON events (correlation_id);
CREATE INDEX events_occurred_brin ON events USING brin (occurred_at);

CREATE TABLE snapshots (stream_id uuid NOT NULL REFERENCES streams ON DELETE CASCADE,
  version int NOT NULL, state jsonb, PRIMARY KEY (stream_id, version));
INSERT INTO snapshots SELECT md5(n::text)::uuid, k * 10, '{}'
  FROM generate_series(1, 3000) n, generate_series(1, 3) k;
CREATE INDEX snapshots_stream ON snapshots (stream_id);

CREATE TABLE outbox (id bigint NOT NULL, topic text NOT NULL, key text, payload jsonb,
  created_at timestamptz NOT NULL, published_at timestamptz);
INSERT INTO outbox SELECT n, 'topic-' || n % 6, CASE WHEN n % 7 > 0 THEN 'k' || n END, '{}',
  timestamptz '2025-01-01' + n * interval '2 min',
  CASE WHEN n < 59900 THEN timestamptz '2025-01-02' END FROM generate_series(1, 60000) n;
ALTER TABLE outbox ADD PRIMARY KEY (id);
CREATE UNIQUE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at);
CREATE INDEX outbox_topic_unpublished ON outbox (topic, id) WHERE published_at IS NULL;
CREATE INDEX outbox_created ON outbox (created_at);

CREATE TABLE order_view (order_id uuid PRIMARY KEY, customer text, tenant text, number int,
  total numeric, projected_position bigint NOT NULL);
INSERT INTO order_view SELECT md5(n::text)::uuid, 'c' || n % 800,
  CASE WHEN n % 2 = 0 THEN 't' || n % 4 END, n, n, n FROM generate_series(1, 8000) n;
CREATE UNIQUE INDEX order_view_number ON order_view (tenant, number) NULLS NOT DISTINCT;
CREATE INDEX order_view_tenant ON order_view (tenant);
CREATE INDEX order_view_customer ON order_view (customer) INCLUDE (total);
CREATE INDEX order_view_customer_only ON order_view (customer);
""" + small_tables("""
subscriptions: name text unique, position bigint
subscription_leases: subscription_id>subscriptions, until timestamptz
projections: name text unique, position bigint
projection_errors*200: projection_id>projections, at timestamptz+
dead_letters*100: subscription_id>subscriptions, at timestamptz+
schemas: name text unique, body jsonb
schema_versions*100: schema_id>schemas, version int
sagas: name text, state text+
saga_timeouts*200: saga_id>sagas, due_at timestamptz+
commands*400: key text unique, at timestamptz+
customers_view: name text+
products_view: sku text unique
stock_view: sku text+, amount int
daily_totals: day date unique, total numeric
checkpoints*1: position bigint
migrations*0: name text unique
""")

QUERIES = (
    "SELECT data FROM events WHERE stream_id = md5('7')::uuid ORDER BY version",
    "SELECT data FROM events WHERE stream_id = md5('9')::uuid AND version > 18 ORDER BY version",
    "SELECT position FROM events WHERE position > 59990 ORDER BY position",
    "SELECT position FROM events WHERE type = 'order_disputed'",
    "SELECT position FROM events WHERE type = 'order_paid' AND position > 59900 ORDER BY position",
    """SELECT position FROM events WHERE data @> '{"n": 77}'""",
    "SELECT position FROM events WHERE data ->> 'sku' = '77'",
    "SELECT count(*) FROM events WHERE occurred_at < '2025-01-01 05:00+00'",
    "SELECT state FROM snapshots WHERE stream_id = md5('7')::uuid ORDER BY version DESC LIMIT 1",
    "SELECT id FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT 50",
    "SELECT id FROM outbox WHERE topic = 'topic-3' AND published_at IS NULL ORDER BY id LIMIT 9",
    "SELECT total FROM order_view WHERE customer = 'c77'",
    "SELECT total FROM order_view WHERE tenant = 't2' AND number = 78",
    "SELECT at FROM projection_errors WHERE projection_id = 7",
)

SCHEMA = Schema(
    "event_store",
    TABLES,
    QUERIES,
    writes=(
        "INSERT INTO streams VALUES (md5('x')::uuid, 'order', 1)",
        "DELETE FROM streams WHERE id = md5('x')::uuid",
    ),
    superfluous=frozenset(
        {"events_stream_idx", "snapshots_stream", "order_view_customer_only", "order_view_tenant"}
    ),
    pairs=(frozenset({"events_type", "events_type_position"}),),
    kept=frozenset(
        {
            "events_data",
            "events_sku",
            "outbox_unpublished",
            "outbox_topic_unpublished",
            "order_view_number",
        }
    ),
)
