"""A multi-tenant application: the tenant first in every key."""

from tests.advice_corpus.models import Schema, small_tables

TABLES = """
CREATE TABLE tenants (id int PRIMARY KEY, slug text NOT NULL UNIQUE, plan text NOT NULL);
INSERT INTO tenants SELECT n, 'tenant-' || n, 'free' FROM generate_series(1, 40) n;

CREATE TABLE users (tenant_id int NOT NULL REFERENCES tenants, id int NOT NULL, email text NOT NULL,
  deleted_at timestamptz, PRIMARY KEY (tenant_id, id));
INSERT INTO users SELECT 1 + n % 40, n, 'u' || n || '@example.com',
  CASE WHEN n % 50 = 0 THEN now() END FROM generate_series(1, 4000) n;
CREATE UNIQUE INDEX users_email_live ON users (tenant_id, lower(email)) WHERE deleted_at IS NULL;
CREATE INDEX users_email ON users (tenant_id, email text_pattern_ops);

CREATE TABLE projects (tenant_id int NOT NULL REFERENCES tenants, id int NOT NULL, name text,
  owner_id int, PRIMARY KEY (tenant_id, id),
  CONSTRAINT projects_owner FOREIGN KEY (tenant_id, owner_id) REFERENCES users);
INSERT INTO projects SELECT 1 + n % 40, n, 'p' || n, n FROM generate_series(1, 800) n;
CREATE INDEX projects_tenant_owner ON projects (tenant_id, owner_id);

CREATE TABLE tasks (tenant_id int NOT NULL, id int NOT NULL, project_id int NOT NULL,
  assignee_id int, state text NOT NULL, due_on date, updated_at timestamptz NOT NULL,
  deleted_at timestamptz, title text);
INSERT INTO tasks SELECT 1 + n % 40, n, n % 40 + 40 * (1 + n / 40 % 19),
  n % 40 + 40 * (1 + n / 40 % 98), (ARRAY['open', 'open', 'done', 'done', 'done'])[1 + n % 5],
  date '2025-01-01' + n % 700, timestamptz '2025-01-01' + n * interval '7 min',
  CASE WHEN n % 20 = 0 THEN now() END, 'task ' || n FROM generate_series(1, 60000) n;
ALTER TABLE tasks ADD PRIMARY KEY (tenant_id, id),
  ADD CONSTRAINT tasks_project FOREIGN KEY (tenant_id, project_id) REFERENCES projects,
  ADD CONSTRAINT tasks_assignee FOREIGN KEY (tenant_id, assignee_id) REFERENCES users;
CREATE INDEX tasks_tenant ON tasks (tenant_id);
CREATE INDEX tasks_project_updated ON tasks (tenant_id, project_id, updated_at);
CREATE INDEX tasks_project_updated_again ON tasks (tenant_id, project_id, updated_at);
CREATE INDEX tasks_assignee ON tasks (tenant_id, assignee_id);
CREATE INDEX tasks_assignee_due ON tasks (tenant_id, assignee_id, due_on, id);
CREATE INDEX tasks_live ON tasks (tenant_id, updated_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX tasks_open ON tasks (tenant_id, due_on) WHERE deleted_at IS NULL AND state = 'open';
CREATE INDEX tasks_title ON tasks (tenant_id, title);

CREATE TABLE time_entries (tenant_id int NOT NULL, id int NOT NULL, task_id int NOT NULL,
  user_id int NOT NULL, spent_on date NOT NULL, minutes int NOT NULL);
INSERT INTO time_entries SELECT 1 + t % 40, n, t, t % 40 + 40, date '2025-01-01' + n % 365, n % 480
  FROM (SELECT n, 1 + n % 50000 AS t FROM generate_series(1, 80000) n) AS numbers;
ALTER TABLE time_entries ADD PRIMARY KEY (tenant_id, id),
  ADD CONSTRAINT time_entries_task FOREIGN KEY (tenant_id, task_id) REFERENCES tasks,
  ADD CONSTRAINT time_entries_user FOREIGN KEY (tenant_id, user_id) REFERENCES users;
CREATE INDEX time_entries_spent ON time_entries (tenant_id, spent_on);
CREATE INDEX time_entries_user ON time_entries (tenant_id, user_id, spent_on);
""" + small_tables("""
plans*4: name text unique
features: name text unique
plan_features: name text, feature_id>features
tenant_settings*40: value jsonb, tenant_no int+
domains: host text unique, verified_at timestamptz
roles: name text, scope text
permissions: name text unique
role_permissions: role_id>roles, permission_id>permissions
invitations: email text+, role_id>roles, created_at timestamptz+
api_keys: token text unique, last_used_at timestamptz
webhooks: url text, secret text
webhook_deliveries*200: webhook_id>webhooks, status int+, created_at timestamptz+
invoices: number text unique, total numeric, created_at timestamptz
invoice_lines*200: invoice_id>invoices, amount numeric
labels: name text, color text
label_uses*200: label_id>>labels, at timestamptz
attachments*0: label_id>labels, path text
sso_configs*1: issuer text
""")

QUERIES = (
    "SELECT * FROM tasks WHERE tenant_id = 7 AND project_id = 46 ORDER BY updated_at LIMIT 20",
    "SELECT count(*) FROM tasks WHERE tenant_id = 3 AND assignee_id = 82",
    "SELECT id FROM tasks WHERE tenant_id = 9 AND deleted_at IS NULL"
    " ORDER BY updated_at DESC LIMIT 10",
    "SELECT id FROM tasks WHERE tenant_id = 9 AND deleted_at IS NULL AND state = 'open'"
    " AND due_on < '2025-01-05' ORDER BY due_on LIMIT 10",
    "SELECT * FROM tasks WHERE tenant_id = 4 AND id = 3",
    "SELECT * FROM users WHERE tenant_id = 5 AND lower(email) = 'u44@example.com'"
    " AND deleted_at IS NULL",
    "SELECT * FROM users WHERE tenant_id = 5 AND email LIKE 'u44%'",
    "SELECT sum(minutes) FROM time_entries WHERE tenant_id = 5 AND spent_on = '2025-02-01'",
    "SELECT sum(minutes) FROM time_entries WHERE tenant_id = 5 AND user_id = 44"
    " AND spent_on > '2025-11-01'",
    "SELECT * FROM projects WHERE tenant_id = 5 AND owner_id = 44",
    "SELECT * FROM webhook_deliveries WHERE webhook_id = 3",
)

SCHEMA = Schema(
    "tenants",
    TABLES,
    QUERIES,
    writes=(
        "DELETE FROM time_entries WHERE tenant_id = 2 AND task_id = 1",
        "DELETE FROM tasks WHERE tenant_id IN (2, 6) AND id > 59900",
        "DELETE FROM projects WHERE id = 800",
    ),
    superfluous=frozenset({"tasks_tenant"}),
    twins=(frozenset({"tasks_project_updated", "tasks_project_updated_again"}),),
    unread=frozenset({"tasks_project_updated_again"}),
    pairs=(frozenset({"tasks_assignee", "tasks_assignee_due"}),),
    kept=frozenset({"users_email", "users_email_live", "tasks_live", "tasks_open"}),
)
