"""A shop: orders with a few states, prices that exclude each other, lookups by e-mail."""

from tests.advice_corpus.models import Schema, small_tables

TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, email text NOT NULL, name text, phone text,
  created_at timestamptz NOT NULL);
INSERT INTO customers SELECT n, 'Customer' || n || '@Example.com', md5(n::text), '0' || n,
  timestamptz '2024-01-01' + n * interval '9 min' FROM generate_series(1, 30000) n;
CREATE UNIQUE INDEX customers_email_lower ON customers (lower(email));
CREATE INDEX customers_email ON customers (email);
CREATE INDEX customers_name ON customers (name);
CREATE INDEX customers_name_like ON customers (name text_pattern_ops);
CREATE INDEX customers_name_c ON customers (name COLLATE "C");

CREATE TABLE products (id int PRIMARY KEY, sku text NOT NULL, name text, price numeric,
  category_path text, is_active boolean NOT NULL DEFAULT false);
INSERT INTO products SELECT n, 'SKU-' || n, 'Product ' || n, n % 900, 'a/' || n % 30 || '/' || n,
  n % 25 <> 0 FROM generate_series(1, 2000) n;
ALTER TABLE products ADD CONSTRAINT products_sku_key UNIQUE (sku);
CREATE INDEX products_sku ON products (sku);
CREATE INDEX products_path ON products (category_path text_pattern_ops);

CREATE TABLE price_periods (product_id int NOT NULL REFERENCES products, during daterange NOT NULL,
  price numeric NOT NULL);
INSERT INTO price_periods SELECT n,
  daterange(date '2025-01-01' + k * 30, date '2025-01-31' + k * 30), n
  FROM generate_series(1, 200) n, generate_series(0, 4) k;
ALTER TABLE price_periods ADD CONSTRAINT price_periods_apart EXCLUDE USING gist
  (int4range(product_id, product_id, '[]') WITH =, during WITH &&);
CREATE INDEX price_periods_product ON price_periods (product_id);

CREATE TABLE orders (id int NOT NULL, customer_id int NOT NULL, number text NOT NULL,
  state text NOT NULL, total numeric NOT NULL, placed_at timestamptz NOT NULL,
  shipped_at timestamptz, external_id text);
INSERT INTO orders SELECT n, 1 + n * 7 % 30000, 'O-' || n,
  CASE WHEN n % 1500 = 0 THEN 'pending' WHEN n % 10 = 0 THEN 'cancelled' ELSE 'shipped' END,
  n % 500, timestamptz '2025-01-01' + n * interval '5 min',
  CASE WHEN n % 10 > 0 THEN timestamptz '2025-01-02' + n * interval '5 min' END,
  CASE WHEN n % 3 = 0 THEN md5(n::text) END FROM generate_series(1, 60000) n;
ALTER TABLE orders ADD PRIMARY KEY (id), ADD CONSTRAINT orders_number_key UNIQUE (number),
  ADD CONSTRAINT orders_customer_fk FOREIGN KEY (customer_id) REFERENCES customers;
CREATE UNIQUE INDEX orders_external ON orders (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX orders_number ON orders (number);
CREATE INDEX orders_state ON orders (state);
CREATE INDEX orders_pending ON orders (placed_at) WHERE state = 'pending';
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_customer_total ON orders (customer_id) INCLUDE (total);
CREATE INDEX orders_placed ON orders (placed_at);
CREATE INDEX orders_shipped ON orders (shipped_at DESC NULLS LAST);
CREATE INDEX orders_shipped_up ON orders (shipped_at);

CREATE TABLE order_lines (order_id int NOT NULL, line int NOT NULL, product_id int NOT NULL,
  quantity int NOT NULL);
INSERT INTO order_lines SELECT n, k, 1 + n * k % 2000, k
  FROM generate_series(1, 50000) n, generate_series(1, 2) k;
ALTER TABLE order_lines ADD PRIMARY KEY (order_id, line),
  ADD CONSTRAINT order_lines_order FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE,
  ADD CONSTRAINT order_lines_product FOREIGN KEY (product_id) REFERENCES products;
CREATE INDEX order_lines_order_idx ON order_lines (order_id);

CREATE TABLE payments (id int NOT NULL, order_id int NOT NULL, provider text, reference text,
  paid_at timestamptz);
INSERT INTO payments SELECT n, n, 'card', md5(n::text), now() FROM generate_series(1, 40000) n;
ALTER TABLE payments ADD PRIMARY KEY (id),
  ADD CONSTRAINT payments_order FOREIGN KEY (order_id) REFERENCES orders;
CREATE UNIQUE INDEX payments_reference ON payments (provider, reference) NULLS NOT DISTINCT;
CREATE UNIQUE INDEX payments_reference_distinct ON payments (provider, reference);
CREATE INDEX payments_order_hash ON payments USING hash (order_id);
""" + small_tables("""
categories: name text unique, position int
brands: name text unique
suppliers: name text, country text+
warehouses: code text unique
stock_levels*400: warehouse_id>warehouses, quantity int
carts: token text unique, updated_at timestamptz+
cart_items*200: cart_id>carts, quantity int
coupons: code text unique, expires_on date+
coupon_uses*200: coupon_id>coupons, used_at timestamptz
shipments: carrier text, tracking text+
shipment_items*200: shipment_id>shipments, quantity int
returns: reason text, opened_at timestamptz+
tax_rates: country text, rate numeric
review_states: name text
reviews*300: state_id>>review_states, stars int, body text
wishlists: name text, is_public boolean
store_settings*1: name text
feeds*0: url text+
""")

QUERIES = (
    "SELECT id FROM customers WHERE lower(email) = 'customer77@example.com'",
    "SELECT id FROM customers WHERE name = 'c81e728d9d4c2f636f067f89cc14862c'",
    "SELECT id FROM customers WHERE name LIKE 'c81e7%'",
    'SELECT name FROM customers ORDER BY name COLLATE "C" LIMIT 5',
    "SELECT id FROM products WHERE sku = 'SKU-77'",
    "SELECT id FROM products WHERE category_path LIKE 'a/7/%'",
    "SELECT price FROM price_periods WHERE product_id = 5",
    "SELECT id FROM orders WHERE number = 'O-77'",
    "SELECT id FROM orders WHERE state = 'pending'",
    "SELECT id FROM orders WHERE state = 'pending' ORDER BY placed_at LIMIT 5",
    "SELECT sum(total) FROM orders WHERE customer_id = 8",
    "SELECT id FROM orders WHERE placed_at > '2025-07-27' ORDER BY placed_at LIMIT 20",
    "SELECT id FROM orders ORDER BY shipped_at DESC NULLS LAST LIMIT 10",
    "SELECT quantity FROM order_lines WHERE order_id = 77",
    "SELECT id FROM payments WHERE order_id = 78",
    "SELECT quantity FROM stock_levels WHERE warehouse_id = 3",
)

SCHEMA = Schema(
    "shop",
    TABLES,
    QUERIES,
    writes=(
        "DELETE FROM orders WHERE id > 59950",
        "INSERT INTO products VALUES (3001, 'SKU-3001', 'gone'), (3002, 'SKU-3002', 'gone')",
        "DELETE FROM products WHERE id > 3000",
    ),
    superfluous=frozenset({"products_sku", "orders_number", "order_lines_order_idx"}),
    pairs=(frozenset({"orders_customer", "orders_customer_total"}),),
    unindexed=frozenset({"order_lines.order_lines_product"}),
    kept=frozenset(
        {
            "customers_email_lower",
            "customers_name",
            "customers_name_like",
            "customers_name_c",
            "orders_state",
            "orders_pending",
            "orders_placed",
            "orders_shipped",
            "payments_reference",
            "payments_order_hash",
            "price_periods_apart",
        }
    ),
)
