-- proposals: the tables of a proposal management application, before any tuning
-- since: 15
-- Partitions, indexes, materialized views and CHECK constraints are not in here: they are made
-- from the policy.

CREATE TABLE customers (
    id text PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE products (
    id text PRIMARY KEY,
    name text NOT NULL,
    price numeric NOT NULL
);

CREATE TABLE proposals (
    id text PRIMARY KEY,
    title text NOT NULL,
    customer_id text NOT NULL REFERENCES customers (id),
    status text NOT NULL DEFAULT 'DRAFT',
    value numeric,
    created_at timestamptz NOT NULL DEFAULT now(),
    approved_at timestamptz
);

CREATE TABLE proposal_sections (
    id text PRIMARY KEY,
    proposal_id text NOT NULL REFERENCES proposals (id) ON DELETE CASCADE,
    title text NOT NULL,
    position integer NOT NULL
);

CREATE TABLE proposal_products (
    id text PRIMARY KEY,
    proposal_id text NOT NULL REFERENCES proposals (id) ON DELETE CASCADE,
    product_id text NOT NULL REFERENCES products (id),
    quantity integer NOT NULL DEFAULT 1
);

CREATE TABLE content (
    id text PRIMARY KEY,
    title text NOT NULL,
    type text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    category text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE approval_executions (
    id text PRIMARY KEY,
    workflow_id text NOT NULL,
    proposal_id text REFERENCES proposals (id) ON DELETE CASCADE,
    status text NOT NULL DEFAULT 'PENDING',
    started_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE validation_issues (
    id text PRIMARY KEY,
    proposal_id text REFERENCES proposals (id) ON DELETE CASCADE,
    entity_type text NOT NULL,
    severity text NOT NULL,
    status text NOT NULL DEFAULT 'OPEN',
    detected_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE hypothesis_validation_events (
    id text PRIMARY KEY,
    user_id text NOT NULL,
    hypothesis text NOT NULL,
    target_value double precision NOT NULL,
    actual_value double precision,
    performance_improvement double precision,
    "timestamp" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE performance_baselines (
    id text PRIMARY KEY,
    hypothesis text NOT NULL,
    metric_name text NOT NULL,
    baseline_value double precision NOT NULL,
    collection_date timestamptz NOT NULL DEFAULT now()
);

-- A key must hold the partition column. No foreign keys: an entry outlives what it tells of, and
-- attaching a month would lock the table a foreign key points to.
CREATE TABLE audit_logs (
    id text NOT NULL,
    user_id text,
    action text NOT NULL,
    entity text NOT NULL,
    entity_id text,
    "timestamp" timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp");
