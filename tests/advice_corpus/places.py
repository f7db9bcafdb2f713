"""Places on a map: GiST and SP-GiST, text search, addresses of networks, bookings."""

from tests.advice_corpus.models import Schema, small_tables

TABLES = """
CREATE TABLE regions (id int PRIMARY KEY, name text NOT NULL, bounds box NOT NULL);
INSERT INTO regions SELECT n, 'Region ' || n, box(point(n % 10 * 10, n / 10 * 10),
  point(n % 10 * 10 + 10, n / 10 * 10 + 10)) FROM generate_series(0, 99) n;
CREATE INDEX regions_bounds ON regions USING gist (bounds);

CREATE TABLE places (id int NOT NULL, region_id int NOT NULL, name text NOT NULL,
  kind text NOT NULL, at point NOT NULL, about tsvector, rating int, closed_on date);
INSERT INTO places SELECT n, n % 100, 'Place ' || n,
  CASE WHEN n % 3000 = 0 THEN 'airport' ELSE (ARRAY['shop', 'cafe', 'hotel'])[1 + n % 3] END,
  point(n % 997 / 10.0, n % 991 / 10.0), to_tsvector('simple', 'place n' || n % 500), n % 50,
  CASE WHEN n % 60 = 0 THEN date '2025-01-01' + n % 300 END FROM generate_series(1, 50000) n;
ALTER TABLE places ADD PRIMARY KEY (id),
  ADD CONSTRAINT places_region FOREIGN KEY (region_id) REFERENCES regions;
CREATE INDEX places_at ON places USING gist (at);
CREATE INDEX places_at_quad ON places USING spgist (at);
CREATE INDEX places_about ON places USING gin (about);
CREATE INDEX places_region_kind ON places (region_id, kind);
CREATE INDEX places_kind ON places (kind);
CREATE INDEX places_name ON places (name);
CREATE INDEX places_name_prefix ON places (name text_pattern_ops);
CREATE INDEX places_rating ON places (rating DESC NULLS LAST, id);
CREATE INDEX places_closed ON places (closed_on) WHERE closed_on IS NOT NULL;

CREATE TABLE networks (id int PRIMARY KEY, network cidr NOT NULL, place_id int);
INSERT INTO networks SELECT n, set_masklen((inet '10.0.0.0' + n * 256)::cidr, 24), n
  FROM generate_series(1, 20000) n;
ALTER TABLE networks ADD CONSTRAINT networks_place FOREIGN KEY (place_id) REFERENCES places;
CREATE INDEX networks_network ON networks USING gist (network inet_ops);
CREATE UNIQUE INDEX networks_network_key ON networks (network);
CREATE INDEX networks_place ON networks (place_id) WHERE place_id IS NOT NULL;

CREATE TABLE visits (id int NOT NULL, place_id int NOT NULL, visitor text NOT NULL,
  at timestamptz NOT NULL, seconds int);
INSERT INTO visits SELECT n, 1 + n % 49000, md5((n % 9000)::text),
  timestamptz '2025-01-01' + n * interval '1 min', n % 600 FROM generate_series(1, 80000) n;
ALTER TABLE visits ADD PRIMARY KEY (id),
  ADD CONSTRAINT visits_place FOREIGN KEY (place_id) REFERENCES places;
CREATE INDEX visits_place_at ON visits (place_id, at);
CREATE INDEX visits_place_at_down ON visits (place_id, at DESC);
CREATE INDEX visits_at_brin ON visits USING brin (at);
CREATE INDEX visits_at ON visits (at);
CREATE INDEX visits_visitor ON visits (visitor);
CREATE INDEX visits_visitor_copy ON visits (visitor);

CREATE TABLE bookings (id int PRIMARY KEY, place_id int NOT NULL REFERENCES places,
  during tstzrange NOT NULL);
INSERT INTO bookings SELECT n, 1 + n % 50, tstzrange(timestamptz '2025-01-01' + n * interval '1 h',
  timestamptz '2025-01-01' + (n + 1) * interval '1 h') FROM generate_series(1, 3000) n;
ALTER TABLE bookings ADD CONSTRAINT bookings_apart EXCLUDE USING gist
  (int4range(place_id, place_id, '[]') WITH =, during WITH &&);
CREATE INDEX bookings_during ON bookings USING gist (during);
CREATE INDEX bookings_place ON bookings (place_id);
""" + small_tables("""
countries: code text unique, name text
languages: code text unique
place_names*400: language_id>languages, name text+
cities: name text+, country_id>countries
routes: name text, length numeric
route_stops*200: route_id>routes, position int
layers: name text unique
layer_styles*80: layer_id>layers, style jsonb
devices: token text unique, seen_at timestamptz+
device_positions*300: device_id>devices, at timestamptz+
photos*200: route_id>>routes, taken_at timestamptz
imports: source text, started_at timestamptz
import_errors*0: import_id>imports, line int
map_settings*1: style text
""")

QUERIES = (
    "SELECT id FROM regions WHERE bounds && box '(15,15),(16,16)'",
    "SELECT id FROM places WHERE at <@ box '(10,10),(11,11)'",
    "SELECT id FROM places ORDER BY at <-> point '(50,50)' LIMIT 5",
    "SELECT id FROM places WHERE about @@ to_tsquery('simple', 'n77')",
    "SELECT id FROM places WHERE region_id = 7 AND kind = 'hotel'",
    "SELECT id FROM places WHERE kind = 'airport'",
    "SELECT id FROM places WHERE name = 'Place 77'",
    "SELECT id FROM places WHERE name LIKE 'Place 77%'",
    "SELECT id FROM places ORDER BY rating DESC NULLS LAST, id LIMIT 10",
    "SELECT id FROM networks WHERE network >>= inet '10.0.77.5'",
    "SELECT id FROM visits WHERE place_id = 9 ORDER BY at LIMIT 5",
    "SELECT id FROM visits WHERE at BETWEEN '2025-01-09 00:00+00' AND '2025-01-09 00:30+00'",
    "SELECT id FROM visits WHERE visitor = 'c81e728d9d4c2f636f067f89cc14862c'",
    "SELECT id FROM bookings WHERE during @> timestamptz '2025-01-20 00:30+00'",
    "SELECT id FROM bookings WHERE place_id = 9",
)

SCHEMA = Schema(
    "places",
    TABLES,
    QUERIES,
    writes=("DELETE FROM visits WHERE id > 79000", "DELETE FROM places WHERE id > 49990"),
    twins=(frozenset({"visits_visitor", "visits_visitor_copy"}),),
    unread=frozenset({"visits_visitor"}),
    kept=frozenset(
        {
            "places_kind",
            "places_name",
            "places_name_prefix",
            "places_at_quad",
            "networks_network",
            "networks_network_key",
            "networks_place",
            "visits_at_brin",
            "bookings_apart",
        }
    ),
)
